"""As many servers are asked as it usually takes, and no more."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lafs.immutable.share_density import LEAST, ShareDensity
from tests.memory_grid import Grid, random_bytes


class Density(SynchronousTestCase):
    def test_where_everybody_has_shares_nobody_is_asked_in_vain(self) -> None:
        density = ShareDensity()
        for _ in range(200):
            density.saw(True)
        self.assertEqual(density.servers_for(4), 4)

    def test_where_every_other_server_has_one_twice_as_many_are_asked(self) -> None:
        density = ShareDensity()
        for number in range(200):
            density.saw(number % 2 == 0)
        self.assertIn(density.servers_for(4), (8, 9))

    @given(st.lists(st.booleans(), max_size=200), st.integers(1, 30))
    def test_never_fewer_than_wanted_nor_without_bound(self, answers: list[bool], shares: int) -> None:
        density = ShareDensity()
        for answer in answers:
            density.saw(answer)
        self.assertLessEqual(shares, density.servers_for(shares))
        self.assertLessEqual(density.servers_for(shares), shares / LEAST + 1)


class OnTheGrid(SynchronousTestCase):
    def test_a_client_stops_asking_servers_it_does_not_need(self) -> None:
        grid = Grid()
        caps = [grid.upload(random_bytes(1_000, seed=seed)) for seed in range(12)]
        questions = [grid.download(cap).cost.requests["list_shares"] for cap in caps]
        self.assertEqual((questions[0], questions[-1]), (8, 5))
