"""Servers of happiness: exact, deterministic, and never worse than a brute-force search."""
from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.grid.placement import happiness, plan
from tests import vectors_loader

SHAREMAPS = st.dictionaries(st.integers(0, 5), st.lists(st.sampled_from("abcdef"), unique=True, max_size=4), max_size=6)


def brute_force_happiness(sharemap: dict[int, list[str]]) -> int:
    servers = sorted({server for holders in sharemap.values() for server in holders})
    shares = [*sorted(sharemap), *([None] * len(servers))]
    return max(
        sum(share is not None and server in sharemap[share] for server, share in zip(servers, order, strict=False))
        for order in permutations(shares, len(servers))
    )


class Happiness(SynchronousTestCase):
    def test_agrees_with_the_peer(self) -> None:
        for vector in vectors_loader.load("immutable_shares")["happiness_vectors"]:
            sharemap = {int(number): set(servers) for number, servers in vector["sharemap"].items()}
            self.assertEqual(happiness(sharemap), vector["happiness"], vector)

    @given(st.dictionaries(st.integers(0, 4), st.lists(st.sampled_from("abcd"), unique=True, max_size=4), max_size=5))
    def test_is_the_size_of_a_maximum_matching(self, sharemap: dict[int, list[str]]) -> None:
        self.assertEqual(happiness(sharemap), brute_force_happiness(sharemap))


class Plan(SynchronousTestCase):
    def test_an_empty_grid_is_filled_in_permuted_order(self) -> None:
        self.assertEqual(plan(3, {}, ["c", "a", "b", "d"]), {0: "c", 1: "a", 2: "b"})

    def test_more_shares_than_servers_are_spread_evenly(self) -> None:
        self.assertEqual(plan(5, {}, ["a", "b"]), {0: "a", 1: "b", 2: "a", 3: "b", 4: "a"})

    def test_a_complete_file_is_left_alone(self) -> None:
        self.assertEqual(plan(3, {0: ["a"], 1: ["b"], 2: ["c"]}, ["d", "a", "b", "c"]), {})

    def test_only_what_is_missing_is_sent(self) -> None:
        self.assertEqual(plan(4, {0: ["a"], 2: ["c"]}, ["a", "b", "c", "d"]), {1: "b", 3: "d"})

    def test_shares_of_readonly_servers_free_the_writable_ones(self) -> None:
        """Share 0 is on a read-only server too, so "a" can count for share 1."""
        self.assertEqual(plan(2, {0: ["a", "readonly"]}, ["a"]), {1: "a"})

    def test_shares_heaped_on_one_server_are_spread_until_happy(self) -> None:
        heaped = {share: ["a"] for share in range(3)}
        placed = plan(3, heaped, ["a", "b", "c"])
        self.assertEqual(happiness({share: [*heaped[share], *([placed[share]] if share in placed else [])] for share in heaped}), 3)
        self.assertEqual(len(placed), 2)

    def test_a_server_takes_another_share_than_the_one_of_which_it_has_a_bad_copy(self) -> None:
        self.assertEqual(plan(2, {}, ["a", "b"], {("a", 0)}), {0: "b", 1: "a"})
        self.assertEqual(plan(2, {}, ["a", "b"], {("b", 1)}), {0: "b", 1: "a"})
        self.assertEqual(plan(4, {2: ["c"], 3: ["d"]}, ["a", "b", "c", "d"], {("a", 0)}), {0: "b", 1: "a"})
        self.assertEqual(plan(1, {}, ["a"], {("a", 0)}), {})

    @given(st.sets(st.tuples(st.sampled_from("abcd"), st.integers(0, 3))))
    def test_what_is_barred_costs_no_more_spread_than_it_must(self, barred: set[tuple[str, int]]) -> None:
        placed = plan(4, {}, list("abcd"), barred)
        self.assertFalse({(server, share) for share, server in placed.items()} & barred)
        allowed = {share: [server for server in "abcd" if (server, share) not in barred] for share in range(4)}
        self.assertEqual(len(set(placed.values())), happiness(allowed))
        self.assertEqual(placed.keys(), {share for share in allowed if allowed[share]})

    def test_without_servers_nothing_is_placed(self) -> None:
        self.assertEqual(plan(3, {}, []), {})

    @given(SHAREMAPS, st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8), st.integers(1, 6))
    def test_is_as_happy_as_any_placement_could_be(self, holders: dict[int, list[str]], writable: list[str], total: int) -> None:
        holders = {share: servers for share, servers in holders.items() if share < total}
        placed = plan(total, holders, writable)
        after = {share: [*holders.get(share, ()), *([placed[share]] if share in placed else [])] for share in range(total)}
        anything = {share: {*holders.get(share, ()), *writable} for share in range(total)}
        self.assertEqual(happiness(after), happiness(anything))
        if writable:
            self.assertTrue(all(after.values()), "every share has a home")
        self.assertEqual(plan(total, holders, writable), placed)
