"""Serving a web site for as long as a node runs, and telling programs where it is: node.url.

Used by `client_node` (the gateway) and `introducer_node` (its status page). Spec: 07 §1, 08 §18, §24 C18.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from lafs.node import ports
from lafs.node.config import Configuration
from lafs.node.files import PUBLIC, write_whole
from lafs.node.lifetime import Lifetime

_log = Logger(namespace="lafs.node")


async def serve(configuration: Configuration, reactor: Any, site: Any, lifetime: Lifetime) -> str | None:
    """Serve `site` (a protocol factory) on web.port, if there is one, until `lifetime` ends. Returns its URL.

    Without `interface=` it is bound to loopback: who holds no cap can do little at a gateway, but may fill it up.
    Raises NodeError, ConfigurationError.
    """
    configuration.path("node.url").unlink(missing_ok=True)
    if configuration.node.web_port is None:
        return None
    site.noisy = False
    text = ports.on_loopback(configuration.node.web_port)
    endpoint = ports.server_endpoint(reactor, "web.port", text)
    port = await ports.bound(endpoint.listen(site), "web.port", text)
    lifetime.then(port.stopListening)
    url = url_of(port.getHost(), secure=text.startswith("ssl:"))
    write_whole(configuration.path("node.url"), f"{url}\n".encode(), PUBLIC)
    lifetime.then(lambda: configuration.path("node.url").unlink(missing_ok=True))
    _log.info("web gateway at {url}", url=url)
    return url


def url_of(address: Any, *, secure: bool = False) -> str:
    """The URL by which a program on this machine reaches what listens on `address`."""
    host = getattr(address, "host", ports.LOOPBACK)
    host = {"0.0.0.0": ports.LOOPBACK, "": ports.LOOPBACK, "::": "::1"}.get(host, host)
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{shown}:{getattr(address, 'port', 0)}/"
