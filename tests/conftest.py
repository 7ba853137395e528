"""What holds for all tests."""
from __future__ import annotations

import os
import sys
from collections.abc import Generator

import pytest
from hypothesis import settings

# A machine that is busy with other things must never fail a test, so no example has a time limit.
settings.register_profile("lafs", deadline=None)
settings.load_profile("lafs")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The real peer is where LAFS_PEER says. Where it should be and is not, its tests fail: `peer()` sees to that."""
    expected = any(os.environ.get(name) for name in ("LAFS_PEER", "LAFS_REQUIRE_PEER", "CI"))
    if item.get_closest_marker("peer") and not expected:
        pytest.skip("LAFS_PEER does not name the peer's program; `make test` installs one")
    if "tests.process.harness" in sys.modules:
        sys.modules["tests.process.harness"].forget_logs()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """When a test fails, what the nodes that run meanwhile have logged is part of its report."""
    report = yield
    harness = sys.modules.get("tests.process.harness")
    if report.failed and harness is not None:
        report.sections += harness.logs()
    return report
