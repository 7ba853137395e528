"""Serving a web site for as long as a node runs, and telling programs where it is: node.url.

Used by `client_node` (the gateway) and `introducer_node` (its status page). Spec: 07 §1, 08 §18, §24 C18.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from weakref import WeakSet

from twisted.internet.interfaces import IProtocolFactory, IProtocolNegotiationFactory
from twisted.logger import Logger
from zope.interface import implementer

from lafs.node import ports
from lafs.node.config import Configuration
from lafs.node.files import PUBLIC, write_whole
from lafs.node.lifetime import Lifetime
from lafs.node.logs import rotated

_log = Logger(namespace="lafs.node")


async def serve(configuration: Configuration, reactor: Any, site: Any, lifetime: Lifetime) -> str | None:
    """Serve `site` (a protocol factory) on web.port, if there is one, until `lifetime` ends. Returns its URL.

    Without `interface=` it is bound to loopback: who holds no cap can do little at a gateway, but may fill it up.
    Raises NodeError, ConfigurationError.
    """
    configuration.path("node.url").unlink(missing_ok=True)
    if configuration.node.web_port is None:
        return None
    text = ports.on_loopback(configuration.node.web_port)
    endpoint = ports.server_endpoint(reactor, "web.port", text)
    door = Door(site)
    port = await ports.bound(endpoint.listen(door), "web.port", text)
    lifetime.then(door.close)
    lifetime.then(port.stopListening)
    url = url_of(port.getHost(), secure=text.startswith("ssl:"))
    write_whole(configuration.path("node.url"), f"{url}\n".encode(), PUBLIC)
    lifetime.then(lambda: configuration.path("node.url").unlink(missing_ok=True))
    _log.info("web gateway at {url}", url=url)
    return url


def access_log(configuration: Configuration, reactor: Any, lifetime: Lifetime) -> Callable[[str], object]:
    """What takes a line about each request: web.access_log, with the time before it; the node's log if there is none."""
    if configuration.node.web_access_log is None:
        from frontends.web.access_log import to_node_log

        return to_node_log
    file = rotated(configuration.path(configuration.node.web_access_log))
    lifetime.then(file.close)

    def write(line: str) -> None:
        try:
            file.write(f"{datetime.fromtimestamp(reactor.seconds(), UTC):%Y-%m-%dT%H:%M:%SZ} {line}\n")
        except (OSError, ValueError):  # a full disk, or a request that ends when the node does
            _log.warn("a line of the access log could not be written")

    return write


@implementer(IProtocolFactory, IProtocolNegotiationFactory)
class Door:
    """Passes connections on to a site, and can close those that are open: requests in flight are cancelled by it."""

    noisy = False

    def __init__(self, site: Any) -> None:
        self._site = site
        self._inside: WeakSet[Any] = WeakSet()

    def doStart(self) -> None:
        self._site.noisy = False
        self._site.doStart()

    def doStop(self) -> None:
        self._site.doStop()

    def buildProtocol(self, address: Any) -> Any:
        protocol = self._site.buildProtocol(address)
        self._inside.add(protocol)
        return protocol

    def acceptableProtocols(self) -> list[bytes]:
        """What the site speaks over TLS, the best first."""
        speaks: list[bytes] = getattr(self._site, "acceptableProtocols", lambda: [b"http/1.1"])()
        return speaks

    def close(self) -> None:
        """Cut all connections: nothing that was acknowledged depends on them."""
        for protocol in list(self._inside):
            transport = getattr(protocol, "transport", None) or getattr(protocol, "_channel", protocol).transport
            if transport is not None:
                transport.abortConnection()


def url_of(address: Any, *, secure: bool = False) -> str:
    """The URL by which a program on this machine reaches what listens on `address`."""
    host = getattr(address, "host", ports.LOOPBACK)
    host = {"0.0.0.0": ports.LOOPBACK, "": ports.LOOPBACK, "::": "::1"}.get(host, host)
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{shown}:{getattr(address, 'port', 0)}/"
