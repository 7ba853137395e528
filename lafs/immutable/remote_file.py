"""One immutable file on the grid, as far as it is known: its facts, its shares, and the search for more of them.

Kept by the downloader between reads, so that what one read has learned spares the next its round trips.
"""
from __future__ import annotations

from attrs import field, frozen

from lafs.capability import ImmutableVerifyCap
from lafs.erasure import Coder
from lafs.immutable.file_facts import FileFacts
from lafs.immutable.server_speeds import ServerSpeeds
from lafs.immutable.share_density import ShareDensity
from lafs.immutable.share_fetch import ShareFetcher
from lafs.immutable.share_map import ShareMap
from lafs.immutable.share_search import ShareSearch
from lafs.interfaces import Grid
from lafs.tasks import Clock
from lafs.workers import Workers


@frozen
class DownloadTools:
    """What all downloads of one client use."""

    grid: Grid
    workers: Workers
    clock: Clock
    speeds: ServerSpeeds = field(factory=ServerSpeeds)
    density: ShareDensity = field(factory=ShareDensity)


@frozen(eq=False)
class RemoteFile:
    """The file that `facts.cap` names."""

    facts: FileFacts
    shares: ShareMap
    search: ShareSearch
    coder: Coder
    fetcher: ShareFetcher
    tools: DownloadTools

    @classmethod
    def of(cls, cap: ImmutableVerifyCap, tools: DownloadTools) -> RemoteFile:
        """A file of which nothing is known but its cap."""
        facts = FileFacts(cap)
        shares = ShareMap(facts, tools.speeds)
        return cls(
            facts=facts,
            shares=shares,
            search=ShareSearch(facts, tools.grid, tools.clock, tools.speeds, tools.density, shares),
            coder=Coder(cap.needed, cap.total),
            fetcher=ShareFetcher(tools.workers, tools.clock, tools.speeds),
            tools=tools,
        )

    @property
    def weight(self) -> int:
        """Bytes of memory that it takes to remember all this, roughly."""
        return self.facts.weight + self.shares.weight
