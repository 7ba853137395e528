"""Sizes and durations for people. Pure."""
from __future__ import annotations

UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")

DURATIONS = ((4 * 365, 365, "years"), (60, 30, "months"), (2, 1, "days"))
"""From how many days on which unit is used, of how many days. Spec: 08 §13."""


def size_text(size: int | float) -> str:
    """Bytes, as "500 B" or "15.53 kB": powers of a thousand, two decimals."""
    if size < 1000:
        return f"{int(size)} B"
    scaled = float(size)
    for unit in UNITS:
        scaled /= 1000
        if scaled < 999.995 or unit == UNITS[-1]:
            return f"{scaled:.2f} {unit}"
    raise AssertionError("unreachable")


def duration_text(seconds: float) -> str:
    """A duration in the largest unit that leaves a telling number. Spec: 08 §13."""
    if seconds < 120:
        return f"{int(seconds)} seconds"
    if seconds < 3 * 3600:
        return f"{int(seconds / 60)} minutes"
    days = seconds / 86400
    for limit, unit_days, name in DURATIONS:
        if days >= limit:
            return f"{int(days / unit_days)} {name}"
    return f"{int(seconds / 3600)} hours"


def clock_text(seconds: float) -> str:
    """A short time as "1:02:03" or "2:03"."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
