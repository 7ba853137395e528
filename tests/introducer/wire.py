"""Remote references without a wire: calls are held against the remote interface and carried out when the test says."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from foolscap.api import DeadReferenceError
from foolscap.remoteinterface import getRemoteInterface
from twisted.internet.defer import Deferred, fail, maybeDeferred


class Wire:
    """One connection. `cut` ends it: watchers are told, and calls fail from then on."""

    def __init__(self) -> None:
        self.open = True
        self.watchers: list[Any] = []

    def reference(self, target: Any) -> Any:
        """What the other end holds instead of `target`; the same every time."""
        references = self.__dict__.setdefault("references", {})
        return references.setdefault(id(target), Reference(self, target))

    def cut(self) -> None:
        self.open = False
        watchers, self.watchers = self.watchers, []
        for callback, arguments in watchers:
            callback(*arguments)


class Reference:
    """As much of a Foolscap RemoteReference as introducers and their clients use."""

    def __init__(self, wire: Wire, target: Any) -> None:
        self.wire = wire
        self.target = target
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.silent = False
        self.unanswered: list[Deferred[Any]] = []
        self.tracker = self
        self.broker = self
        self.transport = self

    def callRemote(self, method: str, *arguments: Any) -> Deferred[Any]:
        if not self.wire.open:
            return fail(DeadReferenceError("Calling Stale Broker"))
        self.calls.append((method, arguments))
        if self.silent:
            self.unanswered.append(Deferred())
            return self.unanswered[-1]
        return maybeDeferred(self._call, method, arguments)

    def _call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        interface = getRemoteInterface(self.target)
        if interface is not None and not any(isinstance(each, Reference) for each in arguments):
            interface[method].checkAllArgs(arguments, {}, False)
        # Objects of ours arrive at the other end as references.
        passed = [self.wire.reference(each) if hasattr(each, "getInterface") else each for each in arguments]
        return getattr(self.target, "remote_" + method)(*passed)

    def notifyOnDisconnect(self, callback: Any, *arguments: Any) -> Any:
        marker = (callback, arguments)
        self.wire.watchers.append(marker)
        return marker

    def dontNotifyOnDisconnect(self, marker: Any) -> None:
        if marker in self.wire.watchers:
            self.wire.watchers.remove(marker)

    def getConnectionInfo(self) -> Any:
        hint = "tcp:127.0.0.1:1"
        return SimpleNamespace(winningHint=hint, connectionHandlers={hint: "tcp"})

    def loseConnection(self) -> None:
        self.wire.cut()
