"""What an introducer knows: the newest announcement of every server and service. In memory, bounded, and writable.

Pure: time comes in as an argument. Used by the introducer's service, which speaks for it. Spec: 05 §12.3.

The peer forgets everything when it is restarted, and nothing before. Here announcements are written down, and one is
forgotten when its server has shown no sign of life for `EXPIRY`: it neither published nor was connected.
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from attrs import define

from lafs.protocol.announcements import STORAGE, Announcement, BadAnnouncement, Envelope, News, compare, verify
from lafs.protocol.storage_announcement import check_for_subscribers, parse

DAY: Final = 86_400.0
EXPIRY: Final = 30 * DAY
"""Seconds without a sign of life after which a server is forgotten."""

GRACE: Final = 1 * DAY
"""Seconds that every server has to show itself after the introducer was down, however long that was."""

MOST_ANNOUNCEMENTS: Final = 10_000
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of all messages together. Beyond this, servers known may publish anew, and unknown ones are refused."""

VERSION: Final = 1


@define
class Entry:
    """The newest announcement of one server and service."""

    announcement: Announcement
    last_seen: float
    """Seconds since the epoch."""
    connections: int = 0
    """How many connections it was published over are still open: a server that is connected does not expire."""

    @property
    def envelope(self) -> Envelope:
        envelope = self.announcement.envelope
        assert envelope is not None, "only signed announcements are kept"
        return envelope


class Registry:
    """Announcements by service and server."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def publish(self, value: object, now: float) -> tuple[Entry, News]:
        """Take in what a publisher sent: its entry, and whether that is to be passed on. Raises BadAnnouncement.

        A server is alive when it publishes again what was known.
        """
        announcement = checked(value)
        place = (announcement.service_name, announcement.server_id)
        entry = self._entries.get(place)
        news = compare(entry.announcement if entry else None, announcement)
        if entry is None:
            self._make_room(announcement)
            entry = self._entries[place] = Entry(announcement, now)
        elif news is News.UPDATE:
            self._bytes += size_of(announcement) - size_of(entry.announcement)
            entry.announcement = announcement
        if news.counts or news is News.DUPLICATE:
            entry.last_seen = max(entry.last_seen, now)
        return entry, news

    def of_service(self, service_name: str) -> Iterator[Entry]:
        """All entries of one service."""
        return (entry for entry in self._entries.values() if entry.announcement.service_name == service_name)

    def counts(self) -> dict[str, int]:
        """How many servers are known of each service."""
        counts: dict[str, int] = {}
        for service_name, _ in self._entries:
            counts[service_name] = counts.get(service_name, 0) + 1
        return counts

    def expire(self, now: float) -> int:
        """Forget servers that have shown no sign of life: how many."""
        dead = [
            place
            for place, entry in self._entries.items()
            if entry.connections == 0 and entry.last_seen + EXPIRY < now
        ]
        for place in dead:
            self._bytes -= size_of(self._entries.pop(place).announcement)
        return len(dead)

    def pack(self) -> bytes:
        """All of it, to be written down: one JSON text a line."""
        lines = [json.dumps({"version": VERSION})]
        for entry in self._entries.values():
            message, signature, key = (part.decode("utf-8") for part in entry.envelope.as_tuple())
            lines.append(
                json.dumps({"last-seen": entry.last_seen, "message": message, "signature": signature, "key": key})
            )
        return ("\n".join(lines) + "\n").encode("ascii")

    def unpack(self, data: bytes, now: float) -> int:
        """Take in again what was written down: how many lines could not be used. Never raises."""
        lines = data.splitlines()
        return sum(not self._restore(line, now) for line in lines[1:])

    def _restore(self, line: bytes, now: float) -> bool:
        try:
            kept = json.loads(line)
            envelope = tuple(kept[name].encode("utf-8") for name in ("message", "signature", "key"))
            entry, _ = self.publish(envelope, float(kept["last-seen"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, BadAnnouncement):
            return False
        entry.last_seen = min(max(entry.last_seen, now - EXPIRY + GRACE), now)
        return True

    def _make_room(self, announcement: Announcement) -> None:
        size = size_of(announcement)
        if len(self._entries) >= MOST_ANNOUNCEMENTS or self._bytes + size > MOST_BYTES:
            raise BadAnnouncement("this introducer knows as many servers as it can")
        self._bytes += size


def checked(value: object) -> Announcement:
    """What an introducer may pass on: verified, and nothing that a subscriber would stumble over (D12)."""
    announcement = verify(value)
    if announcement.service_name == STORAGE:
        check_for_subscribers(parse(announcement))
    return announcement


def size_of(announcement: Announcement) -> int:
    """Bytes of its message."""
    return len(announcement.envelope.message) if announcement.envelope else 0
