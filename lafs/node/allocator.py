"""The C allocator, told that this process moves megabytes: called once when a node starts.

By default glibc hands every large freed block back to the system, which fills it with zeros again when the next one is asked for: a
third of the cost of a 1 MiB write. Keeping a little of it costs a little memory that is measured in docs/performance.md.
"""
from __future__ import annotations

import ctypes
from contextlib import suppress

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Names of glibc's parameters."""


def keep_large_blocks() -> None:
    """Let blocks of up to 4 MiB come from the heap, and 16 MiB of it stay with the process. Does nothing but on glibc."""
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, 4 << 20)
        mallopt(TRIM_THRESHOLD, 16 << 20)
