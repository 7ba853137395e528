"""What is done to a directory and all below it, behind a handle: manifest, size, statistics, deep check. Spec: 04 §9, §11.

Each walks on past a directory that cannot be read, and tells which those were; only one that cannot even begin fails.
"""
from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, Protocol

from attrs import define, field

from frontends.web.checking import Json, Wish, check_frame, corrupt_entry, examine
from frontends.web.errors import Explainer
from frontends.web.gateway import Files
from frontends.web.operations import Operation
from lafs.capability import DirectoryCap
from lafs.directory.deep_statistics import DeepStatistics
from lafs.directory.deep_walk import Visit
from lafs.directory.examination import examined
from lafs.health import CheckResults, DamagedShare, RepairResults
from lafs.tasks import Clock, sleep

BREATH: Final = 100
"""Objects after which others get a turn on the reactor."""

MOST_UNREADABLE: Final = 1000
"""Directories that could not be read of which is told which they were."""

MOST_RESULTS: Final = 2000
"""Objects of a deep check whose results are kept: so many of those with something wrong, and so many of the others."""

RESULTS_WEIGHT: Final = 4000
"""Bytes that check results take, roughly."""


class Walking(Protocol):
    """What these operations need of the gateway."""

    @property
    def files(self) -> Files: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def explainer(self) -> Explainer: ...


async def unhurried(visits: AsyncGenerator[Visit, None], clock: Clock) -> AsyncGenerator[Visit, None]:
    """The same, letting others have a turn now and then."""
    async with aclosing(visits):
        count = 0
        async for visit in visits:
            yield visit
            count += 1
            if count % BREATH == 0:
                await sleep(0, clock)


class DeepOperation(Operation):
    """Walks from the directory of `cap`."""

    def __init__(self, gateway: Walking, cap: DirectoryCap) -> None:
        super().__init__()
        self.cap = cap
        self.unreadable: list[tuple[Sequence[str], str]] = []
        """Directories that could not be read, by path, and why; the first of them."""
        self.unreadable_count = 0
        self._gateway = gateway
        self._statistics = DeepStatistics()

    @property
    def origin(self) -> str:
        """The storage index where the walk began; "" of a literal."""
        index = self.cap.storage_index
        return "" if index is None else index.text

    def statistics(self) -> Json:
        return self._statistics.as_json()

    def losses(self) -> Json:
        """What to add to the JSON of a walk that has not seen everything."""
        if not self.unreadable_count:
            return {}
        return {
            "count-unreadable-directories": self.unreadable_count,
            "list-unreadable-directories": [[list(path), reason] for path, reason in self.unreadable],
        }

    async def run(self) -> None:
        async with aclosing(self._visits()) as visits:
            async for visit in visits:
                if visit.error is not None and not visit.path:
                    raise visit.error
                self.look_at(visit)

    def look_at(self, visit: Visit) -> None:
        """Take note of one object."""
        self._count(visit)

    def _visits(self) -> AsyncGenerator[Visit, None]:
        return unhurried(self._gateway.files.walk(self.cap), self._gateway.clock)

    def _count(self, visit: Visit) -> None:
        self._statistics.add(visit)
        if visit.error is not None:
            self.unreadable_count += 1
            if len(self.unreadable) < MOST_UNREADABLE:
                self.unreadable.append((visit.path, self._gateway.explainer.explain(visit.error).text))


class DeepSize(DeepOperation):
    """How many bytes there are."""

    @property
    def size(self) -> int:
        facts = self.statistics()
        return sum(size for key in ("size-immutable-files", "size-directories") if isinstance(size := facts[key], int))


class DeepStats(DeepOperation):
    """What there is, counted and measured."""


class Manifest(DeepOperation):
    """All there is, by path."""

    def __init__(self, gateway: Walking, cap: DirectoryCap) -> None:
        super().__init__(gateway, cap)
        self.entries: list[tuple[Sequence[str], str | None]] = []
        self.verify_caps: set[str] = set()
        self.storage_indexes: set[str] = set()

    def look_at(self, visit: Visit) -> None:
        super().look_at(visit)
        self.entries.append((visit.path, visit.text))
        self.verify_caps.update(filter(None, (visit.verify_cap,)))
        self.storage_indexes.update(filter(None, (visit.storage_index,)))
        self.grow(700 + len(visit.text or "") + sum(map(len, visit.path)))


@define
class Tally:
    """Objects and shares, as a check finds them."""

    healthy: int = 0
    unhealthy: int = 0
    unrecoverable: int = 0
    corrupt_count: int = 0
    corrupt: list[DamagedShare] = field(factory=list)

    def add(self, results: CheckResults) -> None:
        self.healthy += results.healthy
        self.unhealthy += not results.healthy
        self.unrecoverable += not results.recoverable
        self.corrupt_count += len(results.corrupt)
        if len(self.corrupt) < MOST_RESULTS:
            self.corrupt += results.corrupt


class DeepCheck(DeepOperation):
    """How all there is is; and, if that is wished, repaired. What lies in its cap, and the unknown, is counted, not checked."""

    def __init__(self, gateway: Walking, cap: DirectoryCap, wish: Wish) -> None:
        super().__init__(gateway, cap)
        self.wish = wish
        self.before = Tally()
        self.after = Tally()
        self.repairs_attempted = 0
        self.repairs_successful = 0
        self.unhealthy: list[tuple[Sequence[str], CheckResults]] = []
        """As they were before they were repaired; the first of them."""
        self.rows: list[tuple[Sequence[str], CheckResults]] = []
        """What a page shows: the first objects of all."""
        self.details: dict[str, CheckResults | RepairResults] = {}
        """By storage index, of as many objects as are kept."""

    async def run(self) -> None:
        async def look(visit: Visit) -> CheckResults | RepairResults | None:
            return await examine(self._gateway.files, self.wish, visit)

        async with aclosing(examined(self._visits(), look)) as findings:
            async for visit, found in findings:
                self._count(visit)
                if found is not None:
                    self._add(visit, found)

    def _add(self, visit: Visit, found: CheckResults | RepairResults) -> None:
        results = found.before if isinstance(found, RepairResults) else found
        self.before.add(results)
        if isinstance(found, RepairResults):
            self.after.add(found.after)
            self.repairs_attempted += found.attempted
            self.repairs_successful += found.successful
        kept = self.rows if results.healthy else self.unhealthy
        if len(kept) < MOST_RESULTS:
            kept.append((visit.path, results))
            self.details.setdefault(results.storage_index, found)
            self.grow(RESULTS_WEIGHT)

    def as_json(self) -> Json:
        """Without repair: spec 04 §11.1; with: §11.2."""
        checked = self.before.healthy + self.before.unhealthy
        head: Json = {
            "finished": self.finished,
            "root-storage-index": self.origin or "<none>",
            "count-objects-checked": checked,
        }
        tail: Json = {
            "list-unhealthy-files": [[list(path), check_frame(results)] for path, results in self.unhealthy],
            "stats": self.statistics() if self.finished else {},
            **self.losses(),
        }
        if not self.wish.repair:
            return {
                **head,
                "count-objects-healthy": self.before.healthy,
                "count-objects-unhealthy": self.before.unhealthy,
                "count-corrupt-shares": self.before.corrupt_count,
                "list-corrupt-shares": [corrupt_entry(each) for each in self.before.corrupt],
                **tail,
            }
        return {
            **head,
            "count-objects-healthy-pre-repair": self.before.healthy,
            "count-objects-unhealthy-pre-repair": self.before.unhealthy,
            "count-objects-healthy-post-repair": self.after.healthy,
            "count-objects-unhealthy-post-repair": self.after.unhealthy,
            "count-repairs-attempted": self.repairs_attempted,
            "count-repairs-successful": self.repairs_successful,
            "count-repairs-unsuccessful": self.repairs_attempted - self.repairs_successful,
            "count-corrupt-shares-pre-repair": self.before.corrupt_count,
            "count-corrupt-shares-post-repair": self.after.corrupt_count,
            "list-corrupt-shares": [corrupt_entry(each) for each in self.before.corrupt],
            "list-remaining-corrupt-shares": [corrupt_entry(each) for each in self.after.corrupt],
            **tail,
        }
