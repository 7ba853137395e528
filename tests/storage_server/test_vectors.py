"""What the real peer did, step by step, and what lafs does differently on purpose."""
from __future__ import annotations

import shutil
from base64 import b64decode
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lafs.crypto import base32
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import LafsError, ServerError
from lafs.interfaces import ByteRange, LeaseSecrets, ShareWriter, SlotSecrets, SlotTest, SlotWrite
from lafs.statistics import Counters
from lafs.workers import InlineWorkers
from storage_server.advisories import Advisory
from storage_server.disk import RealDisk
from storage_server.leases import stored_form
from storage_server.mutable_container import MutableContainer
from storage_server.share_files import read_container, read_lease_area
from storage_server.share_store import ShareStore
from tests.storage_server.harness import MeasuredDisk, result_of
from tests.vectors_loader import load

VECTORS = load("storage_containers")

DEVIATIONS: dict[tuple[str, str], str] = {
    ("slot_readonly", "slot_testv_and_readv_and_writev"): "D8: a read-only server takes no mutable writes either",
    ("slot_readonly", "slot_readv"): "as above: there is no such share",
    ("wrong_kind", "allocate_buckets"): "D7: a share of another kind is left out, and does not fail the call",
    ("wrong_kind", "get_buckets"): "D7, likewise",
}
"""(scenario, call) -> why the answer is not the peer's. In these the outcome of the step, and the final files, differ.

Two more are everywhere, and are undone by asking explicitly for what the peer does by itself, so that all bytes can still
be compared: an upload closed before all of it was written is refused, not padded with zeros (the replay writes the zeros);
and an empty write past the end of a mutable share does not extend it (the replay writes zeros there instead).
"""

HARMLESS = "ValueError"
"""What the peer raises for a write of no bytes, which is a no-op here."""


def described(container_bytes: bytes, path: Path) -> dict[str, Any]:
    """A container as the vectors describe it, read by our code. Raises CorruptContainer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(container_bytes)
    file = RealDisk().open(str(path))
    try:
        container = read_container(file)
        area = read_lease_area(file, container)
    finally:
        file.close()
    found: dict[str, Any] = {"schema_version": container.version, "data_length": container.data_length}
    if isinstance(container, MutableContainer):
        leases = list(container.leases(area))
        found |= {
            "kind": "mutable",
            "data_offset": 468,
            "write_enabler_nodeid_hex": container.node_id.hex(),
            "write_enabler_hex": container.write_enabler.hex(),
            "extra_lease_offset": container.extra_offset,
            "extra_lease_count": container.extra_count,
        }
    else:
        leases = list(enumerate(container.leases(area)))
        found |= {
            "kind": "immutable",
            "data_offset": 12,
            "lease_offset": container.lease_offset,
            "lease_count_field": container.lease_count,
        }
    start = found["data_offset"]
    found["data"] = container_bytes[start : start + container.data_length]
    found["leases"] = [
        {
            "slot": slot,
            "owner_num": lease.owner,
            "expiration_time": lease.expiration,
            "stored_renew_hex": lease.renew.hex(),
            "stored_cancel_hex": lease.cancel.hex(),
            "hashed": container.version == 2,
            **({"nodeid_hex": lease.node_id.hex()} if lease.node_id is not None else {}),
        }
        for slot, lease in leases
    ]
    return found


def expected(expect: dict[str, Any]) -> dict[str, Any]:
    """What a vector says, in the form of `described`."""
    ignored = {"ok", "legacy_length_field", "reads", "data_b64", "magic_hex"}
    wanted = {name: value for name, value in expect.items() if name not in ignored}
    wanted["data"] = b64decode(expect["data_b64"])
    wanted["leases"] = [
        {name: value for name, value in lease.items() if name != "presented_renew"} for lease in expect["leases"]
    ]
    return wanted


class Containers(SynchronousTestCase):
    """Share files of every age are understood, and damaged ones are seen to be damaged."""

    def test_lease_secrets_are_stored_as_the_peer_stores_them(self) -> None:
        for vector in VECTORS["lease_secret_hash"]:
            secret = bytes.fromhex(vector["secret_hex"])
            self.assertEqual(stored_form(secret, 2).hex(), vector["stored_hex"])
            self.assertEqual(stored_form(secret, 1), secret)

    def test_containers_decode(self) -> None:
        for vector in VECTORS["immutable_containers"] + VECTORS["mutable_containers"]:
            expect = vector["expect"]
            path = Path(self.mktemp())
            if not expect["ok"] or "leases_error" in expect:
                self.assertRaises(ServerError, described, b64decode(vector["container_b64"]), path)
            else:
                found = described(b64decode(vector["container_b64"]), path)
                self.assertEqual(found, expected(expect), vector["name"])

    def test_a_renew_secret_finds_its_lease_and_a_stored_hash_does_not(self) -> None:
        for vector in VECTORS["immutable_containers"] + VECTORS["mutable_containers"]:
            for check in vector.get("renew_secret_checks", ()):
                version = vector["expect"]["schema_version"]
                candidate = stored_form(bytes.fromhex(check["candidate_hex"]), version).hex()
                matches = [
                    lease["slot"] for lease in vector["expect"]["leases"] if lease["stored_renew_hex"] == candidate
                ]
                self.assertEqual(matches[0] if matches else None, check["matches_slot"], vector["name"])

    def test_advisories_have_the_peers_names_and_texts(self) -> None:
        from datetime import UTC, datetime

        for vector in VECTORS["corruption_advisories"]:
            when = datetime.fromisoformat(vector["utc_time_isoformat"]).replace(tzinfo=UTC)
            advisory = Advisory(
                vector["share_type"],
                StorageIndex(bytes.fromhex(vector["storage_index_hex"])),
                vector["shnum"],
                vector["reason"],
                when.timestamp(),
            )
            self.assertEqual(advisory.name, vector["filename"])
            self.assertEqual(advisory.text, vector["file_text"])


@define
class Replay:
    """One scenario on one store."""

    scenario: dict[str, Any]
    root: Path
    clock: Clock = field(factory=Clock)
    disk: MeasuredDisk = field(factory=MeasuredDisk)
    writers: dict[tuple[StorageIndex, int], ShareWriter] = field(factory=dict)
    unwritten: dict[tuple[StorageIndex, int], set[int]] = field(factory=dict)
    store: ShareStore = field(init=False)

    def __attrs_post_init__(self) -> None:
        server = self.scenario["server"]
        self.clock.advance(server["start_time"])
        self.disk.available = server["available_space"]
        for name, content in self.scenario["initial_files_b64"].items():
            path = self.root / "shares" / name
            path.parent.mkdir(parents=True)
            path.write_bytes(b64decode(content))
        self.store = ShareStore(
            self.root,
            disk=self.disk,
            workers=InlineWorkers(),
            clock=self.clock,
            node_id=bytes.fromhex(server["nodeid_hex"]),
            readonly=server["readonly"],
            counters=Counters(),
        )
        result_of(self.store.start())

    def do(self, step: dict[str, Any]) -> Any:
        """Carry out one step; its result in the form of the vectors."""
        return getattr(self, f"do_{step['call']}")(step)

    def do_advance_clock(self, step: dict[str, Any]) -> None:
        self.clock.advance(step["seconds"])

    def do_set_available_space(self, step: dict[str, Any]) -> None:
        self.disk.available = step["bytes"]

    def do_allocate_buckets(self, step: dict[str, Any]) -> Any:
        index = index_of(step)
        allocation = result_of(
            self.store.allocate_shares(index, frozenset(step["sharenums"]), step["allocated_size"], lease_of(step))
        )
        for number, writer in allocation.writers.items():
            self.writers[index, number] = writer
            self.unwritten[index, number] = set(range(step["allocated_size"]))
        return {"alreadygot": sorted(allocation.existing), "allocated": sorted(allocation.writers)}

    def do_write(self, step: dict[str, Any]) -> None:
        key, offset, data = (index_of(step), step["shnum"]), step["offset"], b64decode(step["data_b64"])
        result_of(self.writers[key].write(offset, data))
        self.unwritten[key] -= set(range(offset, offset + len(data)))

    def do_close(self, step: dict[str, Any]) -> None:
        key = (index_of(step), step["shnum"])
        for position in sorted(self.unwritten[key]):
            result_of(self.writers[key].write(position, b"\0"))
        self.unwritten[key].clear()
        result_of(self.writers[key].close())

    def do_abort(self, step: dict[str, Any]) -> None:
        result_of(self.writers[index_of(step), step["shnum"]].abort())

    def do_get_buckets(self, step: dict[str, Any]) -> Any:
        found = result_of(self.store.list_shares(index_of(step)))
        return {str(number): result_of(reader.read(0, 2**40)) for number, reader in found.items()}

    def do_add_lease(self, step: dict[str, Any]) -> None:
        result_of(self.store.add_lease(index_of(step), lease_of(step)))

    def do_slot_readv(self, step: dict[str, Any]) -> Any:
        found = result_of(self.store.read_slot(index_of(step), frozenset(step["shares"]), ranges_of(step)))
        return {str(number): list(pieces) for number, pieces in found.items()}

    def do_slot_testv_and_readv_and_writev(self, step: dict[str, Any]) -> Any:
        secrets = SlotSecrets(bytes.fromhex(step["write_enabler_hex"]), lease_of(step))
        writes = {
            int(number): write_of(vector, self.data_length(index_of(step), number))
            for number, vector in step["tw_vectors"].items()
        }
        passed, read = result_of(
            self.store.test_and_write_slot(index_of(step), secrets, writes, ranges_of(step))
        )
        return {"success": passed, "read": {str(number): list(pieces) for number, pieces in read.items()}}

    def data_length(self, index: StorageIndex, number: str) -> int:
        """How long a mutable share is now; an absent one is empty."""
        path = self.root / "shares" / index.text[:2] / index.text / number
        return int.from_bytes(path.read_bytes()[84:92], "big") if path.exists() else 0


def index_of(step: dict[str, Any]) -> StorageIndex:
    return StorageIndex(bytes.fromhex(step["storage_index_hex"]))


def lease_of(step: dict[str, Any]) -> LeaseSecrets:
    return LeaseSecrets(bytes.fromhex(step["renew_secret_hex"]), bytes.fromhex(step["cancel_secret_hex"]))


def ranges_of(step: dict[str, Any]) -> list[ByteRange]:
    return [ByteRange(offset, length) for offset, length in step["readv"]]


def write_of(vector: dict[str, Any], length: int) -> SlotWrite:
    for _, _, operator, _ in vector["testv"]:
        if operator != "eq":
            raise ServerError("only equality can be tested")
    writes = []
    for offset, encoded in vector["writev"]:
        data = b64decode(encoded)
        if not data and offset > length:
            data, start = bytes(offset - length), length
        else:
            start = offset
        writes.append((start, data))
        length = max(length, start + len(data))
    tests = [SlotTest(offset, size, b64decode(specimen)) for offset, size, _, specimen in vector["testv"]]
    return SlotWrite(tests, writes, vector["new_length"])


def decoded(returns: Any, call: str) -> Any:
    """A `returns` of the vectors, base64 undone."""
    if call in ("get_buckets",):
        return {number: b64decode(data) for number, data in returns.items()}
    if call == "slot_readv":
        return {number: [b64decode(piece) for piece in pieces] for number, pieces in returns.items()}
    if call == "slot_testv_and_readv_and_writev":
        read = returns["read_data_b64"]
        return {
            "success": returns["success"],
            "read": {number: [b64decode(piece) for piece in pieces] for number, pieces in read.items()},
        }
    return returns


class Scenarios(SynchronousTestCase):
    """The store answers as the peer did, and leaves the same bytes on disk, but for the table of deviations."""

    def replay(self, scenario: dict[str, Any]) -> None:
        replay = Replay(scenario, Path(self.mktemp()))
        self.addCleanup(shutil.rmtree, replay.root)
        name = scenario["name"]
        for number, step in enumerate(scenario["steps"]):
            deviates = (name, step["call"]) in DEVIATIONS
            where = f"{name}, step {number}: {step['call']}"
            try:
                outcome = replay.do(step)
            except LafsError as error:
                if deviates:
                    continue
                self.assertIn("raises", step, f"{where} raised {error!r}")
                if "message" in step:
                    self.assertEqual(str(error), step["message"], where)
                continue
            if deviates or step.get("raises") == HARMLESS:
                continue
            self.assertNotIn("raises", step, where)
            self.assertEqual(outcome, decoded(step["returns"], step["call"]), where)
        self.check_files(replay)

    def check_files(self, replay: Replay) -> None:
        name = replay.scenario["name"]
        shares = replay.root / "shares"
        result_of(replay.store.stop())
        # Uploads in progress are not on the disk yet, or are called otherwise there; they vanish with a restart anyhow.
        wanted = {path: final for path, final in replay.scenario["final_files"].items() if "incoming" not in path}
        found = {str(path.relative_to(shares)): path.read_bytes() for path in shares.rglob("*") if path.is_file()}
        if any(scenario == name for scenario, _ in DEVIATIONS) and name != "wrong_kind":
            self.assertEqual(found, {})
            return
        self.assertEqual(sorted(found), sorted(wanted), name)
        for path, content in found.items():
            self.assertEqual(content, b64decode(wanted[path]["container_b64"]), f"{name}: {path}")


def _add_scenarios() -> None:
    for scenario in VECTORS["scenarios"]:

        def test(self: Scenarios, scenario: dict[str, Any] = scenario) -> None:
            self.replay(scenario)

        setattr(Scenarios, f"test_{scenario['name']}", test)


_add_scenarios()


class Deviations(SynchronousTestCase):
    """Every deviation of the table is one: the peer's answer at that step is not ours."""

    def test_the_table_names_only_steps_that_are_there(self) -> None:
        steps = {(scenario["name"], step["call"]) for scenario in VECTORS["scenarios"] for step in scenario["steps"]}
        self.assertLessEqual(DEVIATIONS.keys(), steps)

    def test_node_ids_in_messages_are_base32(self) -> None:
        self.assertEqual(len(base32.encode(bytes(20))), 32)
