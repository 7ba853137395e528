"""One introducer as a node knows it: tells it of the node's own services, hears from it of everybody else's.

The node makes one for every introducer it has, publishes the same announcements to all, and passes what they hear to
its broker. What was heard is kept in a file, for the day when the introducer cannot be reached. Spec: 05 §12.2, §13.4,
§13.5.
"""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from foolscap.api import Referenceable
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from zope.interface import implementer

from lafs.errors import LafsError
from lafs.grid.foolscap_connector import close, describe, when_lost
from lafs.grid.reconnection import Reconnection
from lafs.introducer import cache
from lafs.introducer.saved_file import SavedFile
from lafs.node_status import IntroducerStatus
from lafs.protocol.announcements import STORAGE, Announcement, BadAnnouncement, Envelope, News, compare, verify
from lafs.protocol.furl import Furl
from lafs.protocol.remote_interfaces import INTRODUCER_V2, RIIntroducerSubscriberClient_v2
from lafs.tasks import Clock, Timer, forget, within
from lafs.workers import Workers

ANSWER_TIMEOUT: Final = 30.0
"""Seconds that an introducer has for each answer."""

PATIENCE: Final = 10.0
"""Seconds without a connection after which what was heard in former times is used."""

MOST_HEARD: Final = 2000
"""Servers heard of from one introducer, which can make up any number."""

log = Logger()


class NotAnIntroducer(Exception):
    """What is at the other end is no introducer, or one of long ago."""


class IntroducerClient:
    """`heard` is called with every announcement that is news; what it raises costs only that announcement.

    `tub` is the node's own, started. `application` is what the node says of itself, like "lafs/1.0".
    """

    def __init__(
        self,
        tub: Any,
        furl: Furl,
        petname: str,
        heard: Callable[[Announcement], object],
        *,
        nickname: str,
        application: str,
        cache_path: Path,
        clock: Clock,
        workers: Workers,
        random: Callable[[], float],
    ) -> None:
        self._tub = tub
        self._furl = furl
        self._petname = petname
        self._pass_on = heard
        self._nickname = nickname
        self._application = application
        self._clock = clock
        self._heard: dict[str, Announcement] = {}
        self._published: dict[str, Envelope] = {}
        self._cache = SavedFile(
            cache_path, lambda: cache.pack(list(self._heard.values())), workers=workers, clock=clock
        )
        self._remote: Any = None
        self._patience: Timer | None = None
        self._canary = Referenceable()
        self._ear = _Ear(self._listen)
        self._reconnection: Reconnection[Any] = Reconnection(
            self._connect, self._use, clock=clock, random=random, failed=self._failed
        )

    def start(self) -> None:
        """Begin to connect."""
        self._patience = self._clock.callLater(PATIENCE, self._lose_patience)
        self._reconnection.start()

    async def stop(self) -> None:
        """Let the connection go, and write down what was heard."""
        self._be_patient()
        self._reconnection.stop()
        await self._cache.flush()

    def publish(self, envelope: Envelope) -> None:
        """Tell the introducer, now if it is there and whenever it comes back. Replaces what was published of a service.

        Raises BadAnnouncement for an envelope that no introducer would take.
        """
        self._published[verify(envelope.as_tuple()).service_name] = envelope
        if self._remote is not None:
            forget(self._send(self._remote, envelope))

    def status(self) -> IntroducerStatus:
        """For people."""
        connected = self._remote is not None
        description = f"Connected to {describe(self._remote)}" if connected else self._reconnection.describe()
        return IntroducerStatus(self._petname, connected, description)

    # --- the life of the connection ---

    async def _connect(self) -> Any:
        return await self._tub.getReference(self._furl.text)

    async def _use(self, remote: Any) -> None:
        try:
            version = await within(ANSWER_TIMEOUT, self._clock, remote.callRemote("get_version"))
            if INTRODUCER_V2 not in version:
                raise NotAnIntroducer
            self._be_patient()
            self._remote = remote
            for envelope in self._published.values():
                await self._send(remote, envelope)
            await within(
                ANSWER_TIMEOUT,
                self._clock,
                remote.callRemote("subscribe_v2", self._ear, STORAGE.encode("ascii"), self._subscriber_info()),
            )
            await when_lost(remote)
        finally:
            self._remote = None
            close(remote)

    async def _send(self, remote: Any, envelope: Envelope) -> None:
        """One publication. A refusal is of this announcement, not of those to come."""
        try:
            await within(
                ANSWER_TIMEOUT, self._clock, remote.callRemote("publish_v2", envelope.as_tuple(), self._canary)
            )
        except CancelledError:
            raise
        except Exception as error:
            log.warn(
                "introducer {petname} did not take an announcement of this node: {error}",
                petname=self._petname,
                error=type(error).__name__,
            )

    def _subscriber_info(self) -> dict[bytes, Any]:
        return {
            b"version": 0,
            b"nickname": self._nickname,
            b"app-versions": [],
            b"my-version": self._application,
            b"oldest-supported": "1.0.0",
        }

    # --- what is heard ---

    def _listen(self, announcements: Any) -> None:
        """Take every element by itself: whatever is wrong with one costs nobody else anything (D13)."""
        for value in announcements:
            try:
                self._take(verify(value))
            except BadAnnouncement as error:
                log.info("introducer {petname}: {reason}", petname=self._petname, reason=str(error))

    def _take(self, announcement: Announcement) -> None:
        if announcement.service_name != STORAGE:
            return
        stored = self._heard.get(announcement.server_id)
        news = compare(stored, announcement)
        if not news.counts:
            return
        if news is News.NEW and len(self._heard) >= MOST_HEARD:
            raise BadAnnouncement("it announces more servers than this node can know")
        self._heard[announcement.server_id] = announcement
        self._cache.changed()
        self._tell(announcement)

    def _tell(self, announcement: Announcement) -> None:
        try:
            self._pass_on(announcement)
        except LafsError as error:
            log.info("introducer {petname}: {reason}", petname=self._petname, reason=str(error))
        except Exception:
            log.failure("introducer {petname}: an announcement could not be used", petname=self._petname)

    # --- what was heard in former times ---

    def _failed(self, error: Exception) -> None:
        log.debug("introducer {petname}: {error}", petname=self._petname, error=type(error).__name__)
        self._lose_patience()

    def _lose_patience(self) -> None:
        """Once in the life of a node: when the introducer could not be reached at start."""
        if self._patience is not None:
            self._be_patient()
            forget(self._remember())

    def _be_patient(self) -> None:
        patience, self._patience = self._patience, None
        if patience is not None and patience.active():
            patience.cancel()

    async def _remember(self) -> None:
        data = await self._cache.load()
        for announcement in cache.unpack(data or b""):
            if announcement.service_name == STORAGE and announcement.server_id not in self._heard:
                self._tell(announcement)


@implementer(RIIntroducerSubscriberClient_v2)
class _Ear(Referenceable):
    """What the introducer calls."""

    def __init__(self, listen: Callable[[Any], None]) -> None:
        self._listen = listen

    def remote_announce_v2(self, announcements: Any) -> None:
        self._listen(announcements)
