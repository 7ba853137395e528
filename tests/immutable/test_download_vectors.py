"""Shares made by the real peer are read, whichever of them are there."""
from __future__ import annotations

from base64 import b64decode
from itertools import combinations, islice
from typing import Any, cast

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from lafs.capability import ImmutableReadCap, parse
from lafs.errors import NotEnoughShares
from tests.immutable.fake_servers import DownloadWorld, coded, some_bytes
from tests.immutable.vector_contents import contents_of
from tests.vectors_loader import load

MOST_SUBSETS = 12


def world_of(cap_text: str, content: bytes, shares: dict[int, bytes]) -> DownloadWorld:
    """Servers with just `shares`, one each."""
    cap = parse(cap_text)
    assert isinstance(cap, ImmutableReadCap)
    template = coded(some_bytes(100), needed=1, total=1)
    return DownloadWorld(evolve(template, cap=cap, content=content, shares=shares), servers=max(shares) + 1)


def shares_in(vector: dict[str, Any]) -> dict[int, bytes]:
    return {share["shnum"]: b64decode(share["data_base64"]) for share in vector["shares"] if "data_base64" in share}


class SharesOfThePeer(SynchronousTestCase):
    """Any `needed` of the shares that the peer made give the file back."""

    def test_every_choice_of_shares_recovers_the_contents(self) -> None:
        tried = 0
        for vector in load("immutable_shares")["encode_vectors"]:
            shares, needed = shares_in(vector), cast(int, vector["k"])
            subsets = list(combinations(sorted(shares), needed)) if shares else []
            step = max(len(subsets) // MOST_SUBSETS, 1)
            for subset in islice(subsets, 0, None, step):
                world = world_of(vector["read_cap"], contents_of(vector), {n: shares[n] for n in subset})
                self.assertEqual(world.read(), world.file.content, (vector["name"], subset))
                world.assert_quiet()
                tried += 1
        self.assertGreater(tried, 50)

    def test_every_range_around_a_segment_boundary_is_right(self) -> None:
        for vector in load("immutable_shares")["encode_vectors"]:
            shares = shares_in(vector)
            if not shares:
                continue
            world = world_of(vector["read_cap"], contents_of(vector), shares)
            segment, size = vector["sizes"]["segment_size"], len(world.file.content)
            edges = {edge + around for edge in range(0, size + 1, segment) for around in (-1, 0, 1)} | {size}
            places = sorted(edge for edge in edges if 0 <= edge <= size)
            for start, end in combinations(places, 2):
                self.assertEqual(world.read(start, end - start), world.file.content[start:end], vector["name"])


class UnusualShares(SynchronousTestCase):
    """Shares that only look strange are read; those that no honest uploader makes end in a clean error."""

    def test_authentic_shares_of_any_form_are_read(self) -> None:
        for vector in load("immutable_shares")["reader_vectors"]:
            world = world_of(vector["read_cap"], bytes.fromhex(vector["content_hex"]), shares_in(vector))
            if vector["tahoe_download"] == "ok":
                self.assertEqual(world.read(), world.file.content, vector["name"])
                self.assertEqual(world.reports, [], vector["name"])
            else:
                error = self.assertRaises(NotEnoughShares, world.read)
                self.assertIn("Last failure: a corrupt share", str(error))
            world.assert_quiet()

    def test_the_damage_that_a_verifier_finds_never_yields_wrong_contents(self) -> None:
        vectors = load("immutable_shares")
        by_name = {vector["name"]: vector for vector in vectors["encode_vectors"]}
        for damage in vectors["verify_vectors"]:
            vector, number = by_name[damage["encode_vector"]], damage["shnum"]
            for case in damage["cases"]:
                shares = shares_in(vector)
                broken = bytearray(shares[number])
                if "offset" in case:
                    broken[case["offset"]] ^= case["xor"]
                else:
                    del broken[case["truncate_to"] :]
                needed = sorted({number, *sorted(shares)[: vector["k"]]})
                whole = world_of(vector["read_cap"], contents_of(vector), {**shares, number: bytes(broken)})
                self.assertEqual(whole.read(), whole.file.content, case)
                bare = {n: shares[n] for n in needed[: vector["k"] - 1] if n != number} | {number: bytes(broken)}
                least = world_of(vector["read_cap"], contents_of(vector), bare)
                try:
                    self.assertEqual(least.read(), least.file.content, case)
                except NotEnoughShares:
                    self.assertNotEqual(case["verdict"], "good", case)
                least.assert_quiet()
