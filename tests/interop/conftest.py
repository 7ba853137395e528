"""The real peer is where LAFS_PEER says. `make test` sees to it; there, a missing peer is a failure, not a reason to skip."""
from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def _the_peer_is_there() -> None:
    if os.environ.get("LAFS_PEER") or os.environ.get("CI") or os.environ.get("LAFS_REQUIRE_PEER"):
        return  # then `peer()` complains if it is not
    pytest.skip("LAFS_PEER does not name the peer's program (`make test` installs one)")
