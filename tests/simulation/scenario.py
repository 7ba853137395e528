"""What one seed draws: a grid, what its client does, and everything that goes wrong meanwhile. Pure values.

`draw(seed)` gives the same `Scenario` in every run and on every machine; `world.py` plays it.
"""
from __future__ import annotations

from random import Random
from typing import Literal

from attrs import evolve, frozen

from lafs.immutable.parameters import EncodingParameters
from tests.simulation.liars import LIES

Weather = Literal["calm", "rough", "brutal"]
"""Calm: nothing goes wrong, so everything must succeed. Rough: servers come and go. Brutal: they lie and fail as well."""

Trouble = Literal["kill", "power", "power at a change", "cut", "hang", "mute", "fill", "client dies"]

SourceKind = Literal["memory", "slow", "stream", "failing"]
"""Memory: all there. Slow: comes bit by bit. Stream: so too, cannot be rewound, size unknown. Failing: a stream that breaks off."""

DAY_SECONDS = 30.0
"""In so many seconds all begins that is going to happen."""

FOR_EVER = 1e9
"""Seconds."""


@frozen
class ServerPlan:
    """One server. `lag` in seconds one way, up to `jitter` times as long; `capacity` in bytes."""

    number: int
    lag: float
    jitter: float
    worker_seconds: float
    readonly: bool = False
    lies: tuple[str, ...] = ()
    capacity: int | None = None
    disk_fails: float = 0.0
    """The fraction of disk operations that fail with EIO."""


@frozen
class TroublePlan:
    """What goes wrong at a server (or the client) `at` seconds, and for how long."""

    at: float
    kind: Trouble
    server: int
    lasts: float
    change: int
    """For a loss of power: how many changes of the disk later."""


@frozen
class Errand:
    """Something the client does: upload contents, read [offset, offset + size) of them (to the end for None), or look after them.

    Who looks after contents repairs them if need be; `verify` says whether every byte is looked at.
    """

    at: float
    kind: Literal["upload", "download", "care"]
    content: int
    offset: int = 0
    size: int | None = None
    sink_seconds: float = 0.0
    source: SourceKind = "memory"
    cancel_after: float | None = None
    verify: bool = False


@frozen
class Scenario:
    """Everything about one run that is not decided by the code under test."""

    seed: int
    weather: Weather
    encoding: EncodingParameters
    servers: tuple[ServerPlan, ...]
    contents: tuple[int, ...]
    """Sizes, in bytes."""
    errands: tuple[Errand, ...]
    troubles: tuple[TroublePlan, ...]
    cuts: frozenset[int]
    """Numbers of the messages at which connections break."""
    client_worker_seconds: float


def draw(seed: int) -> Scenario:
    """The scenario of `seed`."""
    random = Random(seed)
    weather: Weather = random.choice(["calm", "rough", "rough", "brutal"])
    encoding = _encoding(random)
    spare = random.choice([0, 0, 1, 2, 5]) if weather == "calm" else random.choice([-2, 0, 0, 1, 3, 5])
    count = max(1, encoding.total + spare)
    worker_seconds = random.choice([0.0, 0.0, 0.01, 0.2])
    contents = tuple(_size(random, encoding) for _ in range(random.randint(1, 3)))
    rough = weather != "calm"
    return Scenario(
        seed=seed,
        weather=weather,
        encoding=encoding,
        servers=tuple(_server(random, number, weather, worker_seconds) for number in range(count)),
        contents=contents,
        errands=_errands(random, contents, rough) + _care(Random(f"care {seed}"), contents, rough),
        troubles=_troubles(random, count) if rough else (),
        cuts=frozenset(random.sample(range(400), random.choice([0, 0, 1, 3, 8]))) if rough else frozenset(),
        client_worker_seconds=random.choice([0.0, 0.0, 0.01, 0.3]),
    )


def _encoding(random: Random) -> EncodingParameters:
    needed = random.choice([1, 2, 3, 3, 3, 4])
    total = needed + random.choice([0, 1, 2, 4, 7])
    happy = random.choice([1, needed, (needed + total) // 2, total])
    return EncodingParameters(needed, happy, total, random.choice([needed, 100, 333, 1000, 4096, 2**20]))


def _size(random: Random, encoding: EncodingParameters) -> int:
    segment = min(encoding.max_segment_size, 4096)
    edges = [0, 1, 55, 56, 57, 1000, segment - 1, segment, segment + 1, 2 * segment, 5 * segment + 3]
    size = random.choice([*edges, random.randrange(20_000)])
    # A file of very many tiny segments would say nothing new and take long.
    return min(size, 60 * encoding.segment_size_for(20_000))


def _server(random: Random, number: int, weather: Weather, worker_seconds: float) -> ServerPlan:
    lag, jitter = random.choice([0.001, 0.02, 0.05, 0.15]), random.choice([1.0, 1.2, 3.0])
    plan = ServerPlan(number, lag, jitter, worker_seconds)
    if weather == "calm":
        return plan
    kinds = {"sound": 60, "far": 5, "small": 10, "readonly": 5}
    if weather == "brutal":
        kinds |= {"sound": 40, "liar": 25, "bad disk": 15}
    match random.choices(list(kinds), list(kinds.values()))[0]:
        case "far":
            return evolve(plan, lag=random.choice([1.0, 3.0, 9.0]))
        case "small":
            return evolve(plan, capacity=random.choice([0, 500, 3000, 20_000]))
        case "readonly":
            return evolve(plan, readonly=True)
        case "liar":
            return evolve(plan, lies=tuple(random.sample(LIES, random.randint(1, 3))))
        case "bad disk":
            return evolve(plan, disk_fails=random.choice([0.01, 0.1, 0.5]))
        case _:
            return plan


def _errands(random: Random, contents: tuple[int, ...], rough: bool) -> tuple[Errand, ...]:
    errands = []
    for content, size in enumerate(contents):
        for _ in range(random.choice([1, 1, 1, 2, 3])):
            cancel = random.uniform(0, 2) if rough and random.random() < 0.15 else None
            sources: list[SourceKind] = ["memory", "memory", "slow", "stream", "failing" if rough else "memory"]
            start = random.uniform(0, DAY_SECONDS / 2)
            errands.append(
                Errand(start, "upload", content, source=random.choice(sources), cancel_after=cancel)
            )
        for _ in range(random.randint(0, 4)):
            offset, length = random.choice([(0, None), (random.randrange(size + 2), random.randrange(size + 2))])
            cancel = random.uniform(0, 2) if random.random() < 0.1 else None
            errands.append(
                Errand(
                    at=random.uniform(0, DAY_SECONDS),
                    kind="download",
                    content=content,
                    offset=offset,
                    size=length,
                    sink_seconds=random.choice([0.0, 0.0, 0.1]),
                    cancel_after=cancel,
                )
            )
    return tuple(errands)


def _care(random: Random, contents: tuple[int, ...], rough: bool) -> tuple[Errand, ...]:
    return tuple(
        Errand(
            at=random.uniform(0, DAY_SECONDS),
            kind="care",
            content=random.randrange(len(contents)),
            cancel_after=random.uniform(0, 2) if rough and random.random() < 0.15 else None,
            verify=random.random() < 0.5,
        )
        for _ in range(random.choice([0, 0, 1, 2]))
    )


def _troubles(random: Random, servers: int) -> tuple[TroublePlan, ...]:
    kinds: list[Trouble] = ["kill", "power", "power at a change", "power at a change", "cut", "hang", "mute", "fill"]
    if random.random() < 0.2:
        kinds.append("client dies")
    return tuple(
        TroublePlan(
            at=random.uniform(0, DAY_SECONDS),
            kind=random.choice(kinds),
            server=random.randrange(servers),
            lasts=random.choice([0.1, 1.0, 5.0, 40.0, FOR_EVER]),
            change=random.randrange(60),
        )
        for _ in range(random.choice([0, 1, 3, 6, 12]))
    )
