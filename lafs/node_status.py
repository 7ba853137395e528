"""What a node says of itself, for status pages and commands: nouns, like those of `lafs.interfaces`."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from attrs import frozen


@frozen
class ServerStatus:
    """One known server, connected or not. Spec: 07 §13.1."""

    server_id: str
    nickname: str
    connected: bool
    connection: str
    """For people: "Connected to tcp:HOST:PORT via tcp", "Trying to connect", ..."""
    version: str | None = None
    available_space: int | None = None
    last_received: float | None = None
    """Seconds since the epoch."""
    connected_since: float | None = None
    """The same; None if it is not connected, or never was not."""


@frozen
class IntroducerStatus:
    """One introducer this node knows, by its petname."""

    petname: str
    connected: bool
    connection: str


class NodeStatus(Protocol):
    """The overview a node gives of itself."""

    @property
    def nickname(self) -> str: ...

    @property
    def node_id(self) -> str:
        """The server id of this node ("v0-..."), shown on the welcome page."""
        ...

    def introducers(self) -> Sequence[IntroducerStatus]: ...

    def servers(self) -> Sequence[ServerStatus]: ...

    def counters(self) -> Mapping[str, int]: ...

    def stats(self) -> Mapping[str, float | int | None]:
        """Current values by name, "node.uptime" in seconds among them. Spec: 07 §13.2."""
        ...
