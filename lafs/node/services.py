"""The one place that knows which kinds of node there are. Used by `process`. Spec: 08 §7.1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from lafs.node.config import Configuration


class RunningNode(Protocol):
    """A node that can be started and stopped once. `url` is that of its web gateway, once it serves."""

    @property
    def url(self) -> str | None: ...

    async def start(self) -> None:
        """Returns once the node serves. Raises LafsError; `stop` is needed then too."""
        ...

    async def stop(self) -> None: ...


def build(configuration: Configuration, reactor: Any, warn: Callable[[str], object]) -> RunningNode:
    """The node that `configuration` describes, not yet started. It calls `warn` with what a person should know."""
    # Imported here: an introducer has no use for all that a client is made of.
    if configuration.kind == "introducer":
        from lafs.node.introducer_node import IntroducerNode

        return IntroducerNode(configuration, reactor, warn)
    from lafs.node.client_node import ClientNode

    return ClientNode(configuration, reactor, warn)
