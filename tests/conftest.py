"""What holds for all tests."""
from __future__ import annotations

from hypothesis import settings

# A machine that is busy with other things must never fail a test, so no example has a time limit.
settings.register_profile("lafs", deadline=None)
settings.load_profile("lafs")
