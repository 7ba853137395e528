"""Container codecs: arbitrary bytes are refused or understood, never more; plans do what a plain model does."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto.derivations import stored_lease_secret
from lafs.errors import CorruptContainer, DataTooLarge, NoSpace
from lafs.interfaces import LeaseSecrets
from storage_server.edits import Put, Step
from storage_server.immutable_container import ImmutableContainer, frame
from storage_server.leases import MAXIMUM_LEASES, LeaseTerms, stored_form
from storage_server.mutable_container import DATA_OFFSET, HEAD_SIZE, MAGICS, MutableContainer
from tests.storage_server.harness import NODE_ID, secrets

TERMS = LeaseTerms(secrets(1), owner=1, expiration=1000)


def carried_out(content: bytes, steps: list[Step]) -> bytes:
    """What steps make of the contents of a file."""
    after = bytearray(content)
    for step in steps:
        data = step.data if isinstance(step, Put) else bytes(step.size)
        after.extend(bytes(max(0, step.offset - len(after))))
        after[step.offset : step.offset + len(data)] = data
    return bytes(after)


def parse_mutable(content: bytes) -> MutableContainer:
    position = MutableContainer.extra_offset_in(content[:HEAD_SIZE])
    return MutableContainer.parse(content[:HEAD_SIZE], content[position : position + 4], len(content))


def lease_area(content: bytes, container: ImmutableContainer | MutableContainer) -> bytes:
    return b"".join(content[start : start + size] for start, size in container.lease_areas)


class ImmutableContainers(SynchronousTestCase):
    @given(st.binary(max_size=200))
    def test_arbitrary_bytes_are_refused_or_make_sense(self, junk: bytes) -> None:
        try:
            container = ImmutableContainer.parse(junk[:12], len(junk))
        except CorruptContainer:
            return
        self.assertGreaterEqual(container.data_length, 0)
        self.assertEqual(12 + container.data_length + 72 * container.lease_count, len(junk))
        list(container.leases(lease_area(junk, container)))

    @given(st.binary(max_size=50), st.lists(st.tuples(st.integers(1, 5), st.integers(0, 2000)), max_size=8))
    def test_leases_are_added_or_renewed_never_backdated_and_the_data_stays(
        self, data: bytes, wanted: list[tuple[int, int]]
    ) -> None:
        header, first = frame(len(data), LeaseTerms(secrets(1), 0, 500))
        content = header + data + first
        model = {1: 500}
        for number, expiration in wanted:
            container = ImmutableContainer.parse(content[:12], len(content))
            change = container.take_lease(lease_area(content, container), LeaseTerms(secrets(number), 1, expiration))
            self.assertEqual(change.growth, 0 if number in model else 72)
            content = carried_out(content, list(change.steps))
            model[number] = max(model.get(number, 0), expiration)
        container = ImmutableContainer.parse(content[:12], len(content))
        self.assertEqual(content[12 : 12 + container.data_length], data)
        found = {lease.renew: lease.expiration for lease in container.leases(lease_area(content, container))}
        self.assertEqual(found, {stored_lease_secret(secrets(number).renew): when for number, when in model.items()})

    def test_a_stored_hash_presented_as_a_secret_renews_nothing(self) -> None:
        header, lease = frame(0, TERMS)
        container = ImmutableContainer.parse(header, 84)
        thief = LeaseSecrets(stored_lease_secret(TERMS.secrets.renew), stored_lease_secret(TERMS.secrets.cancel))
        self.assertEqual(container.take_lease(lease, LeaseTerms(thief, 1, 9999)).growth, 72)

    def test_a_share_takes_only_so_many_leases_but_renews_those_it_has(self) -> None:
        _header, lease = frame(0, TERMS)
        container = ImmutableContainer(2, MAXIMUM_LEASES, 12 + 72 * MAXIMUM_LEASES)
        area = lease * MAXIMUM_LEASES
        self.assertRaises(NoSpace, container.take_lease, area, LeaseTerms(secrets(2), 1, 2000))
        self.assertEqual(len(container.take_lease(area, LeaseTerms(secrets(1), 1, 2000)).steps), 1)

    def test_old_containers_keep_their_ways(self) -> None:
        self.assertEqual(stored_form(b"s" * 32, 1), b"s" * 32)
        container = ImmutableContainer.parse(b"\0\0\0\1" + bytes(8), 12)
        (record, _count) = container.take_lease(b"", TERMS).steps
        assert isinstance(record, Put)
        self.assertEqual(record.data[4:36], TERMS.secrets.renew)


WRITES = st.lists(st.tuples(st.integers(0, 120), st.binary(max_size=60)), max_size=4)


class MutableContainers(SynchronousTestCase):
    @given(st.sampled_from([b"", *MAGICS.values()]), st.binary(max_size=700))
    def test_arbitrary_bytes_are_refused_or_make_sense(self, magic: bytes, junk: bytes) -> None:
        content = magic + junk
        try:
            container = parse_mutable(content)
        except CorruptContainer:
            return
        self.assertLessEqual(DATA_OFFSET + container.data_length, container.extra_offset)
        self.assertLessEqual(container.extra_offset + 4, len(content))

    @given(
        st.lists(
            st.tuples(WRITES, st.one_of(st.none(), st.integers(1, 200)), st.integers(1, 9)), min_size=1, max_size=6
        )
    )
    def test_writes_truncations_and_leases_do_what_a_plain_string_does(
        self, rounds: list[tuple[list[tuple[int, bytes]], int | None, int]]
    ) -> None:
        content = MutableContainer.fresh(NODE_ID, b"w" * 32).pack()
        model, leases = b"", set[bytes]()
        for writes, new_length, lease in rounds:
            container = parse_mutable(content)
            area = lease_area(content, container)
            plan = container.write(writes, new_length, area)
            change = plan.after.take_lease(area, LeaseTerms(secrets(lease), 1, 1000), NODE_ID)
            content = carried_out(content, [*plan.steps, *change.steps])
            for offset, data in writes:
                if data:
                    model = model[:offset].ljust(offset, b"\0") + data + model[offset + len(data) :]
            if new_length is not None:
                model = model[:new_length]
            leases.add(stored_lease_secret(secrets(lease).renew))
            after = parse_mutable(content)
            self.assertEqual(content[DATA_OFFSET : DATA_OFFSET + after.data_length], model)
            self.assertEqual({each.renew for _, each in after.leases(lease_area(content, after))}, leases)
            self.assertEqual(after.write_enabler, b"w" * 32)

    def test_a_lease_counted_but_not_written_is_no_lease_and_the_share_is_readable(self) -> None:
        content = MutableContainer.fresh(NODE_ID, b"w" * 32).pack()
        content = content[:-4] + (1).to_bytes(4, "big")
        container = parse_mutable(content)
        self.assertEqual(container.extra_count, 1)
        self.assertRaises(CorruptContainer, parse_mutable, content[:-4] + (2).to_bytes(4, "big"))

    def test_the_largest_size_is_the_peers(self) -> None:
        container = MutableContainer.fresh(NODE_ID, b"w" * 32)
        largest = 69_105_000_000_000_000
        container.write([(largest - 1, b"x")], None, b"")
        self.assertRaises(DataTooLarge, container.write, [(largest, b"x")], None, b"")

    def test_secrets_are_not_in_the_repr(self) -> None:
        self.assertNotIn("wwww", repr(MutableContainer.fresh(NODE_ID, b"w" * 32)))
        self.assertNotIn(repr(TERMS.secrets.renew)[2:10], repr(TERMS))
