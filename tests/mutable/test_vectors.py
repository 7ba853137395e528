"""The known answers of the peer: every file is read, every damage noticed, every scenario judged as it should be."""
from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import MutableWriteCap
from lafs.crypto.derivations import lease_secrets, write_enabler, write_enabler_master
from lafs.crypto.storage_index import StorageIndex
from lafs.errors import RepairRefused, UnrecoverableFile
from lafs.immutable.parameters import EncodingParameters
from lafs.mutable.geometry import Geometry
from lafs.mutable.share_layout import parse_prefix
from lafs.mutable.slot import SigningKey
from lafs.mutable.survey import OF_EVERYONE
from lafs.mutable.update import Patch, spliced_trees
from lafs.sources import BytesSource
from tests.memory_grid import Grid
from tests.mutable.slots import all_stored, numbers_stored, plant, write_cap
from tests.mutable.test_encoding import code, joined
from tests.mutable.vector_contents import FILES, VECTORS, contents_of


def shares_of(vector: dict[str, Any]) -> dict[int, bytes]:
    """All shares of a file, as the peer has stored them; made here where the vectors only have hashes."""
    if all("data_b64" in share for share in vector["shares"].values()):
        return {int(number): b64decode(share["data_b64"]) for number, share in vector["shares"].items()}
    coded, version = code(vector, contents_of(vector))
    return {int(number): joined(version.share(int(number), coded)) for number in vector["shares"]}


class Reading(SynchronousTestCase):
    def test_every_file_is_read_from_any_shares_that_suffice(self) -> None:
        grid = Grid(servers=2)
        for name, vector in FILES.items():
            cap, contents, shares = write_cap(vector["caps"]["rw"]), contents_of(vector), shares_of(vector)
            self.assertEqual(cap.readonly().text, vector["caps"]["ro"])
            choices = [tuple(Random(name).sample(sorted(shares), vector["k"])) for _ in range(4)]
            for chosen in [*choices, tuple(sorted(shares))[: vector["k"]], tuple(sorted(shares))[-vector["k"] :]]:
                grid.forget()
                plant(grid, cap, grid.machines[0], {number: shares[number] for number in chosen})
                found, version = grid.run(grid.client.open_mutable(cap.readonly()).contents())
                self.assertEqual(found, contents, (name, chosen))
                self.assertEqual(
                    (version.sequence_number, version.format, version.needed, version.total),
                    (vector["seqnum"], vector["format"], vector["k"], vector["n"]),
                )

    def test_one_share_too_few_is_an_error(self) -> None:
        grid = Grid(servers=1)
        vector = next(each for each in FILES.values() if each["k"] == 2)
        cap, shares = write_cap(vector["caps"]["rw"]), shares_of(vector)
        plant(grid, cap, grid.machines[0], {1: shares[1]})
        with self.assertRaises(UnrecoverableFile):
            grid.run(grid.client.open_mutable(cap).contents())


class Updates(SynchronousTestCase):
    """In place, as the peer did it: untouched segments stay as they are."""

    def test_shares_after_an_update_are_those_of_the_peer(self) -> None:
        for vector in (each for each in FILES.values() if "before_update" in each):
            before, needed, total = vector["before_update"], vector["k"], vector["n"]
            old = {int(number): b64decode(share["data_b64"]) for number, share in before["shares"].items()}
            coded, version = code(vector, contents_of(vector))
            cut = version.prefix.geometry
            offset, size = before["update_offset"], len(before["update_data_hex"]) // 2
            touched = cut.covering(offset, size)
            old_prefix = parse_prefix(old[0])
            leaves = {}
            for number, share in old.items():
                old_cut = old_prefix.geometry
                tree = 2167 + old_cut.share_data_size
                first = tree + 32 * (old_cut.block_tree_size // 64)
                leaves[number] = [share[first + 32 * each : first + 32 * each + 32] for each in range(old_cut.count)]
            segments = coded[touched.start : touched.stop]
            trees = spliced_trees(leaves, touched.start, segments)
            self.assertEqual(trees.shares.root.hex(), vector["root_hash_hex"])
            patch = Patch(Geometry("MDMF", cut.size, cut.segment_size, needed), total, touched.start, segments, trees)
            for number, share in old.items():
                written = bytearray(share)
                body = patch.body(version, number)
                for at, piece in body.pieces:
                    written += bytes(max(at + len(piece) - len(written), 0))
                    written[at : at + len(piece)] = piece
                after = b64decode(vector["shares"][str(number)]["data_b64"])
                self.assertEqual(bytes(written[: body.length])[2167:], after[: vector["shares"][str(number)]["eof"]][2167:])
                self.assertEqual(bytes(written[:1000]), after[:1000])

    def test_only_touched_segments_get_new_salts(self) -> None:
        grid = Grid(servers=4)
        for vector in (each for each in FILES.values() if "before_update" in each):
            grid.forget()
            before, cap = vector["before_update"], write_cap(vector["caps"]["rw"])
            old = {int(number): b64decode(share["data_b64"]) for number, share in before["shares"].items()}
            for number, share in old.items():
                plant(grid, cap, grid.machines[number], {number: share})
            offset, data = before["update_offset"], bytes.fromhex(before["update_data_hex"])
            grid.run(grid.client.open_mutable(cap).update(offset, BytesSource(data)))
            found, _ = grid.run(grid.client.open_mutable(cap).contents())
            self.assertEqual(found, contents_of(vector))
            cut = parse_prefix(old[0]).geometry
            touched = Geometry("MDMF", len(found), cut.segment_size, cut.needed).covering(offset, len(data))
            for number, _, share in all_stored(grid, cap):
                for segment in range(cut.count):
                    start = 2167 + cut.block_offset(segment)
                    same = share[start : start + 16] == old[number][start : start + 16]
                    self.assertEqual(same, segment not in touched)


class Damage(SynchronousTestCase):
    """What is wrong with a share is found out before it does harm."""

    def test_every_labelled_corruption_is_judged_as_it_must_be(self) -> None:
        grid = Grid(servers=2, encoding=EncodingParameters(1, 1, 3))
        kept = {name: shares_of(FILES[name]) for name in {each["file"] for each in VECTORS["corruptions"]}}
        for corruption in VECTORS["corruptions"]:
            vector = FILES[corruption["file"]]
            shares, number = kept[corruption["file"]], corruption["shnum"]
            bad = mutated(shares[number], corruption)
            others = [each for each in sorted(shares) if each != number][: vector["k"] - 1]
            with named(corruption["name"]):
                self._judge(grid, vector, number, bad, {each: shares[each] for each in others}, corruption["expect"])

    def _judge(
        self,
        grid: Grid,
        vector: dict[str, Any],
        number: int,
        bad: bytes,
        others: dict[int, bytes],
        expect: dict[str, str],
    ) -> None:
        grid.forget()
        cap = write_cap(vector["caps"]["rw"])
        plant(grid, cap, grid.machines[0], {number: bad})
        plant(grid, cap, grid.machines[1], others)
        node = grid.client.open_mutable(cap)
        shares = grid.run(node._access.survey(OF_EVERYONE))
        found = [share for place, share in shares.found.items() if place.number == number]
        self._holds(expect["map"], bool(found))
        if found and found[0].at_hand(found[0].sections.private_key):
            encrypted = found[0].sections.private_key.of(found[0].start)
            try:
                SigningKey.decrypted(encrypted, cap.write_key, bytes.fromhex(vector["pubkey_der_hex"]))
                usable = True
            except ValueError:
                usable = False
            self._holds(expect["privkey"], usable)
        try:
            contents, _ = grid.run(node.contents())
            self.assertEqual(contents, contents_of(vector))
            self._holds(expect["read"], True)
        except UnrecoverableFile:
            self._holds(expect["read"], False)
        grid.forget()
        health = grid.run(grid.client.open_mutable(cap).check(verify=True))
        bad_numbers = [place.number for place in health.corrupt]
        counted = any(label.endswith(f"-sh{number}") for label in health.sharemap)
        self._holds(expect["verify"], counted and number not in bad_numbers)
        self.assertFalse(set(bad_numbers) & set(others))

    def _holds(self, verdict: str, accepted: bool) -> None:
        if verdict != "either":
            self.assertEqual(accepted, verdict == "accept")


@contextmanager
def named(name: str) -> Iterator[None]:
    """Failures inside tell which case they are about."""
    try:
        yield
    except Exception as problem:
        problem.add_note(name)
        raise


def mutated(share: bytes, corruption: dict[str, Any]) -> bytes:
    """A share with a corruption of the vectors."""
    if "truncate" in corruption:
        return share[: corruption["truncate"]]
    if "replace_with" in corruption:
        other = corruption["replace_with"]
        return shares_of(FILES[other["file"]])[other["shnum"]]
    changed = bytearray(share)
    for offset, mask in corruption["xor"]:
        for position, bits in enumerate(bytes.fromhex(mask)):
            changed[offset + position] ^= bits
    return bytes(changed)


class Scenarios(SynchronousTestCase):
    """Versions side by side on the servers, as they are left by writers in contention."""

    def _grid(self, case: dict[str, Any], scenario: dict[str, Any]) -> tuple[Grid, MutableWriteCap]:
        grid = Grid(servers=scenario["servers"], encoding=EncodingParameters(case["k"], 1, case["n"]))
        cap = write_cap(case["caps"]["rw"])
        for index, machine in enumerate(grid.machines):
            shares = {
                number: b64decode(case["versions"][label]["shares"][str(number)])
                for server, number, label in scenario["placement"]
                if server == index
            }
            plant(grid, cap, machine, shares)
        return grid, cap

    def test_versions_are_told_apart(self) -> None:
        for case in VECTORS["scenario_sets"]:
            labels = {version["root_hash_hex"]: label for label, version in case["versions"].items()}
            for scenario in case["scenarios"]:
                with named(f"{case['name']} {scenario['name']}"):
                    grid, cap = self._grid(case, scenario)
                    expect = scenario["expect"]
                    shares = grid.run(grid.client.open_mutable(cap)._access.survey(OF_EVERYONE))
                    label = lambda version: labels[version.prefix.root_hash.hex()]  # noqa: E731, B023
                    self.assertEqual(sorted(map(label, shares.recoverable())), expect["recoverable"])
                    lost = [each for each in shares.versions() if not each.recoverable]
                    self.assertEqual(sorted(map(label, lost)), expect["unrecoverable"])
                    best = shares.best()
                    self.assertEqual(best and label(best), expect["best"])
                    newer = {label(each): [len(each.shares), each.prefix.needed] for each in shares.unrecoverable_newer()}
                    self.assertEqual(newer, expect["unrecoverable_newer"])
                    self.assertEqual(shares.needs_merge(), expect["needs_merge"])
                    self.assertEqual(shares.highest_sequence_number + 1, expect["next_seqnum"])

    def test_the_right_version_is_read_and_the_state_reported(self) -> None:
        for case in VECTORS["scenario_sets"]:
            for scenario in case["scenarios"]:
                with named(f"{case['name']} {scenario['name']}"):
                    grid, cap = self._grid(case, scenario)
                    node, expect = grid.client.open_mutable(cap), scenario["expect"]
                    for verify in (False, True):
                        self._check(grid.run(node.check(verify=verify)), expect["check"])
                    if expect["read"] is None:
                        with self.assertRaises(UnrecoverableFile):
                            grid.run(node.contents())
                    else:
                        contents, _ = grid.run(node.contents())
                        self.assertEqual(contents.hex(), case["versions"][expect["read"]]["content_hex"])

    def _check(self, health: Any, expect: dict[str, Any]) -> None:
        found = {
            "healthy": health.healthy,
            "recoverable": health.recoverable,
            "summary": health.summary,
            "count_shares_good": health.good_shares,
            "count_shares_needed": health.needed,
            "count_shares_expected": health.total,
            "count_good_share_hosts": health.good_hosts,
            "count_wrong_shares": health.wrong_shares,
            "count_recoverable_versions": health.recoverable_versions,
            "count_unrecoverable_versions": health.unrecoverable_versions,
            "count_happiness": health.happiness,
            "count_corrupt_shares": len(health.corrupt),
        }
        self.assertEqual(found, expect)

    def test_repair_writes_the_best_version_anew_and_loses_nothing_unasked(self) -> None:
        for case in VECTORS["scenario_sets"]:
            for scenario in case["scenarios"]:
                for key, force in (("repair", False), ("repair_force", True)):
                    expect = scenario["expect"].get(key)
                    if expect is None:
                        continue
                    with named(f"{case['name']} {scenario['name']} {key}"):
                        grid, cap = self._grid(case, scenario)
                        node = grid.client.open_mutable(cap)
                        if "error" in expect:
                            with self.assertRaises(RepairRefused):
                                grid.run(node.repair(force))
                            continue
                        outcome = grid.run(node.repair(force))
                        self.assertEqual(outcome.successful, expect["successful"])
                        if expect["successful"]:
                            after = [tuple(each) for each in expect["seqnums_after"]]
                            self.assertEqual(numbers_stored(grid, cap), after)
                            contents, _ = grid.run(node.contents())
                            self.assertEqual(contents.hex(), case["versions"][expect["content_after"]]["content_hex"])


class Secrets(SynchronousTestCase):
    def test_are_those_of_the_peer(self) -> None:
        vector = VECTORS["secrets"]
        write_key = bytes.fromhex(vector["writekey_hex"])
        index = StorageIndex(bytes.fromhex(vector["storage_index_hex"]))
        self.assertEqual(write_enabler_master(write_key).hex(), vector["write_enabler_master_hex"])
        for server in vector["servers"]:
            seed = bytes.fromhex(server["serverid_hex"])
            renew, cancel = lease_secrets(bytes.fromhex(vector["client_lease_secret_hex"]), index, seed)
            self.assertEqual(write_enabler(write_key, seed).hex(), server["write_enabler_hex"])
            self.assertEqual((renew.hex(), cancel.hex()), (server["renew_secret_hex"], server["cancel_secret_hex"]))
