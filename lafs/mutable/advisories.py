"""Telling operators of servers that a share is damaged: once for each share, however often it is met."""
from __future__ import annotations

from collections import OrderedDict
from typing import Final
from weakref import WeakKeyDictionary

from lafs.crypto.storage_index import StorageIndex
from lafs.interfaces import GridServer
from lafs.tasks import forget

REMEMBERED: Final = 1000
"""Reports to one server that are not repeated."""


class Advisories:
    """What was reported, for as long as a connection lasts."""

    def __init__(self) -> None:
        self._sent: WeakKeyDictionary[GridServer, OrderedDict[tuple[StorageIndex, int], None]] = WeakKeyDictionary()

    def report(self, server: GridServer, storage_index: StorageIndex, share_number: int, reason: str) -> None:
        """Tell the operator of `server`, if he wants to hear, that a share of a mutable file is damaged."""
        sent = self._sent.setdefault(server, OrderedDict())
        if (storage_index, share_number) in sent:
            return
        sent[storage_index, share_number] = None
        if len(sent) > REMEMBERED:
            sent.popitem(last=False)
        forget(server.storage.report_corruption("mutable", storage_index, share_number, reason))
