"""This node's own Tub: the identity and the ports under which others reach it, and it reaches introducers.

Storage servers are called by another, nameless one (lafs/grid/foolscap_connector). Used by `client_node`, `introducer_node`
and, to know a FURL before the node has ever run, by `creation`'s callers. Spec: 05 §15, §16.
"""

from __future__ import annotations

import re
from typing import Any

from foolscap.api import Tub
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger
from zope.interface import implementer

from lafs.errors import NodeError
from lafs.grid.foolscap_connector import Timeouts, set_options
from lafs.node import ports
from lafs.node.config import Configuration
from lafs.node.files import PUBLIC, read_text, write_whole
from lafs.node.keys import Keys

_log = Logger(namespace="lafs.node")


class NodeTub:
    """The Tub of a node. `register` what it offers before `start`; `stop` closes all its connections."""

    def __init__(self, configuration: Configuration, keys: Keys, reactor: Any) -> None:
        self._keys = keys
        self._reactor = reactor
        try:
            self.tub: Any = Tub(certData=keys.tub_certificate())
        except Exception:  # OpenSSL's errors are of many kinds, and say nothing to a person
            path = configuration.path("private/node.pem")
            raise NodeError(f"{path} is damaged: its certificate or key cannot be read; restore it") from None
        node, usual = configuration.node, Timeouts()
        set_options(self.tub, Timeouts(node.keepalive or usual.keepalive, node.disconnect or usual.disconnect))
        # Otherwise a caller whose request fails is sent our stack.
        self.tub.unsafeTracebacks = False
        if configuration.connections.tcp == "disabled":
            self.tub.removeAllConnectionHintHandlers()
        self._endpoints = endpoints(configuration)
        if self._endpoints:
            self.tub.setLocation(*ports.hints(node.tub_location, self._endpoints))

    @property
    def tub_id(self) -> str:
        return str(self.tub.tubID)

    def register(self, reference: Any, furl_file: str) -> str:
        """Offer `reference` under the FURL of private/`furl_file`, which is brought up to date. Returns the FURL."""
        name = self._keys.name_in_furl(furl_file, self.tub_id)
        furl = str(self.tub.registerReference(reference, name=name))
        self._keys.write_furl(furl_file, furl)
        return furl

    async def start(self) -> None:
        """Listen. Raises NodeError, ConfigurationError if a port cannot be had."""
        waiting = []
        for text in self._endpoints:
            told = _ToldEndpoint(ports.server_endpoint(self._reactor, "tub.port", text))
            self.tub.listenOn(told).noisy = False
            waiting.append((told.outcome, text))
        self.tub.startService()
        for outcome, text in waiting:
            await ports.bound(outcome, "tub.port", text)
            _log.info("listening for other nodes on {endpoint}", endpoint=text)

    async def stop(self) -> None:
        if self.tub.running:
            await self.tub.stopService()


def endpoints(configuration: Configuration) -> tuple[str, ...]:
    """Where the Tub listens: as configured, else on a port that is chosen once and kept in client.port."""
    if configuration.node.tub_port is not None:
        return configuration.node.tub_port
    path = configuration.path("client.port")
    text = read_text(path)
    if text is None:
        text = f"tcp:{ports.free_port()}"
        write_whole(path, f"{text}\n".encode(), PUBLIC)
    elif not re.fullmatch(r"tcp:[1-9][0-9]{0,4}(:.*)?", text):
        raise NodeError(f"{path} is damaged: it should hold one line, tcp:PORT; remove it to have a port chosen")
    return (text,)


def record_furl(configuration: Configuration, furl_file: str, keys: Keys) -> None:
    """Write the FURL that a node will have once it runs."""
    tub = NodeTub(configuration, keys, None)
    hints = ",".join(tub.tub.locationHints)
    keys.write_furl(furl_file, f"pb://{tub.tub_id}@{hints}/{keys.name_in_furl(furl_file, tub.tub_id)}")


@implementer(IStreamServerEndpoint)
class _ToldEndpoint:
    """An endpoint that tells `outcome` how listening went: Foolscap, which listens, drops the failure."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint
        self.outcome: Deferred[Any] = Deferred()

    def listen(self, factory: Any) -> Deferred[Any]:
        listening: Deferred[Any] = self._endpoint.listen(factory)
        return listening.addCallbacks(self._succeeded, self.outcome.errback)

    def _succeeded(self, port: Any) -> Any:
        self.outcome.callback(port)
        return port
