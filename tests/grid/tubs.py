"""Real Tubs on loopback, for tests of what goes over a real wire."""
from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from foolscap.api import Tub, flushEventualQueue
from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.trial.unittest import TestCase

from lafs.grid.foolscap_connector import Timeouts, ephemeral_certificate, set_options

reactor: Any = the_reactor


class TubCase(TestCase):
    """Every Tub made here is stopped in the end, and Foolscap's queue is empty when the test is over."""

    timeout = 20

    def make_tub(self, listening: bool = False, port: int = 0, certificate: bytes | None = None) -> Any:
        """A Tub that runs, and perhaps listens on a port of loopback."""
        tub = Tub(certData=certificate or ephemeral_certificate(datetime.now(UTC)))
        set_options(tub, Timeouts())
        tub.startService()
        self.addCleanup(self._stop, tub)
        if listening:
            listener = tub.listenOn(TCP4ServerEndpoint(reactor, port, interface="127.0.0.1"))
            tub.setLocation(f"tcp:127.0.0.1:{listener._lp.getHost().port}")
        return tub

    def _stop(self, tub: Any) -> Deferred[Any] | None:
        if not tub.running:
            return None
        stopped: Deferred[Any] = tub.stopService()
        return stopped.addCallback(flushEventualQueue)
