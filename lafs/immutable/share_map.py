"""Which shares of one file are where, and which of them to read next.

Filled by the share search, thinned by reads that find shares bad, asked by the fetching of segments. No I/O. Spec: 02
§12.2.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from attrs import define, field

from lafs.immutable.file_facts import FileFacts
from lafs.immutable.server_speeds import ServerSpeeds
from lafs.immutable.share_state import ShareState
from lafs.immutable.whole_shares import SmallShare
from lafs.interfaces import GridServer, ShareReader


@define(eq=False)
class Share:
    """A share that a server says it has. `dropped` once it proved bad or unreachable: nobody reads it any more."""

    server: GridServer
    number: int
    reader: ShareReader = field(repr=False)
    state: ShareState = field(repr=False)
    dropped: bool = False

    @property
    def name(self) -> str:
        """For messages: no more than its number and the short name of its server."""
        return f"Share(sh{self.number}-on-{self.server.identity.short_name})"


class ShareMap:
    """The shares found so far. Share numbers outside the file, whoever claims them, are not among them."""

    def __init__(self, facts: FileFacts, speeds: ServerSpeeds) -> None:
        self._facts = facts
        self._speeds = speeds
        self._shares: dict[GridServer, dict[int, Share]] = {}

    def __iter__(self) -> Iterator[Share]:
        for shares in self._shares.values():
            yield from shares.values()

    def usable(self) -> list[Share]:
        """The shares that have not been dropped."""
        return [share for share in self if not share.dropped]

    def update(self, server: GridServer, readers: Mapping[int, ShareReader]) -> None:
        """Put what `server` says it has now in place of what was known of it.

        What was learned of a good share is kept; a dropped one gets another chance.
        """
        before = self._shares.get(server, {})
        after: dict[int, Share] = {}
        for number, reader in readers.items():
            if not isinstance(number, int) or not 0 <= number < self._facts.cap.total:
                continue
            known = before.get(number)
            state = ShareState(number, self._facts) if known is None or known.dropped else known.state
            after[number] = Share(server, number, reader, state)
        for share in before.values():
            share.dropped = True
        self._shares[server] = after

    def keep_only(self, servers: Collection[GridServer]) -> None:
        """Forget what is on any other server: it is gone."""
        present = set(servers)
        for server in [each for each in self._shares if each not in present]:
            for share in self._shares.pop(server).values():
                share.dropped = True

    def choose(
        self,
        taken: Collection[int],
        tried: Collection[Share],
        busy: Counter[GridServer],
        now: float,
        prefer_known: bool,
    ) -> Share | None:
        """The best share to read whose number is not in `taken` and that is not in `tried`, if there is any.

        Servers that answer come before those that seem to hang; then those in `busy` less often; then faster ones.
        Among equals, a primary share saves decoding; a share already known (`prefer_known`) saves learning its
        structure, which is what counts when little is read.
        """
        candidates = [share for share in self.usable() if share.number not in taken and share not in tried]
        if not candidates:
            return None
        speeds, needed = self._speeds, self._facts.cap.needed
        handicaps = speeds.handicaps(share.server for share in candidates)

        def badness(share: Share) -> tuple[bool, int, int, bool, bool, bool, float, int]:
            known = share.state.offsets is not None
            # One that is in use is left only for one that is clearly faster.
            handicap = max(handicaps[share.server] - known, 0)
            return (
                speeds.is_suspect(share.server, now),
                busy[share.server],
                handicap,
                prefer_known and not known,
                share.number >= needed,
                not known,
                speeds.latency(share.server),
                share.number,
            )

        return min(candidates, key=badness)

    @property
    def weight(self) -> int:
        """Bytes held, roughly."""
        read_already = sum(share.reader.weight for share in self if isinstance(share.reader, SmallShare))
        return read_already + sum(share.state.weight for share in self)
