"""What an unhappy upload tells its user: how far it came, what was wanted, and which servers did what.

Clients of the peer match on the core sentences, so those are kept to the letter. Spec: 02 §10.7.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from lafs.errors import UnhappyUpload
from lafs.grid.placement import happiness
from lafs.immutable.parameters import EncodingParameters
from lafs.interfaces import GridServer


def is_happy(sharemap: Mapping[int, Sequence[GridServer]], encoding: EncodingParameters) -> bool:
    """Whether a file whose shares are so placed was stored as its owner wants: spread, and recoverable at all."""
    distinct = sum(1 for servers in sharemap.values() if servers)
    return distinct >= encoding.needed and happiness(sharemap) >= encoding.happy


def unhappy(
    sharemap: Mapping[int, Sequence[GridServer]], encoding: EncodingParameters, story: Mapping[GridServer, str]
) -> UnhappyUpload:
    """The error for shares that are, or could be, placed so and no better."""
    servers = {server for holders in sharemap.values() for server in holders}
    lines = [f"{_core(len(servers), happiness(sharemap), encoding)}"]
    lines += [f"  {server.identity.short_name} ({server.identity.nickname}): {deed}" for server, deed in story.items()]
    if len(story) < encoding.happy:
        lines.append(
            f"Only {len(story)} server(s) could be asked. Connect to more, or lower shares.happy (now {encoding.happy}) "
            "in the node's configuration if fewer servers are enough for you."
        )
    return UnhappyUpload("\n".join(lines))


def _core(placed: int, happy: int, encoding: EncodingParameters) -> str:
    needed, wanted = encoding.needed, encoding.happy
    recover = f"any {needed} of them have enough shares to recover the file"
    if placed < needed:
        return (
            f"shares could be placed or found on only {placed} server(s). "
            f"We were asked to place shares on at least {wanted} server(s) such that {recover}."
        )
    if happy < needed:
        return (
            f"shares could be placed or found on {placed} server(s), but they are not spread out evenly enough to ensure that "
            f"any {needed} of these servers would have enough shares to recover the file. "
            f"We were asked to place shares on at least {wanted} servers such that {recover}."
        )
    return (
        f"shares could be placed on only {happy} server(s) such that {recover}, "
        f"but we were asked to place shares on at least {wanted} such servers."
    )
