"""What to say when a file cannot be read because too few of its shares can be: for programs, then for people.

Spec: 02 §12.8 (the core texts, which programs match on).
"""
from __future__ import annotations

from collections.abc import Collection, Iterable

from lafs.errors import CorruptShare, NoShares, NotEnoughShares
from lafs.immutable.remote_file import RemoteFile
from lafs.immutable.share_map import Share

MOST_NAMES = 10
"""Servers named in a message."""


def not_enough_shares(
    file: RemoteFile, complete: Collection[int], last_failure: BaseException | None
) -> NotEnoughShares:
    """The error for a file of which only the shares with the numbers in `complete` could be read."""
    needed = file.facts.cap.needed
    reason = "None" if last_failure is None else _in_words(last_failure)
    story = _story(file)
    if not complete and not file.shares.usable():
        return NoShares(f"no shares (need {needed}). Last failure: {reason}. {story}")
    numbers = ",".join(f"sh{number}" for number in sorted(complete))
    core = f"ran out of shares: complete={numbers} pending= overdue= unused= need {needed}."
    return NotEnoughShares(f"{core} Last failure: {reason}. {story}")


def _story(file: RemoteFile) -> str:
    """What was found, where, who was asked, and what is needed."""
    asked, silent = file.search.asked, file.search.failures
    if not asked:
        return "No storage server is connected. Check the network and the introducer, then try again."
    good = file.shares.usable()
    bad = [share for share in file.shares if share.dropped]
    parts = [f"Asked {_count(asked, 'server')}; found {_listed(good)}"]
    if bad:
        parts.append(f"could not use {_listed(bad)}")
    if silent:
        names = sorted(server.identity.short_name for server in silent)
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        parts.append(f"no answer from {', '.join(names[:MOST_NAMES])}{more}")
    needed, total = file.facts.cap.needed, file.facts.cap.total
    return (
        f"{'; '.join(parts)}. Any {needed} different shares of the {total} that were made are needed: "
        "the file comes back when servers that hold more of them are connected again."
    )


def _listed(shares: Iterable[Share]) -> str:
    by_number = sorted(shares, key=lambda share: (share.number, share.server.identity.short_name))
    if not by_number:
        return "no share"
    names = [f"share {share.number} on {share.server.identity.short_name}" for share in by_number]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _in_words(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, CorruptShare):
        text = f"a corrupt share ({text})" if text else "a corrupt share"
    return text.rstrip(".") or type(error).__name__
