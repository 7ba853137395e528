"""An introducer: where the nodes of a grid learn of each other, and perhaps a page that says how many there are.

Built by `services`, run by `process`. Spec: 05 §12, §15.1; 07 §14.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lafs import __version__
from lafs.errors import NodeError
from lafs.introducer.server import IntroducerService
from lafs.node import web
from lafs.node.config import Configuration, read
from lafs.node.files import PUBLIC, make_private, write_whole
from lafs.node.keys import Keys, RandomBytes
from lafs.node.lifetime import Lifetime
from lafs.node.tub import NodeTub, record_furl
from lafs.workers import ThreadWorkers

FURL_FILE = "introducer.furl"


class IntroducerNode:
    """One introducer; `start` it, then `stop` it, once."""

    def __init__(
        self,
        configuration: Configuration,
        reactor: Any,
        warn: Callable[[str], object],
        random: RandomBytes = os.urandom,
    ) -> None:
        self.url: str | None = None
        self._configuration = configuration
        self._reactor = reactor
        self._random = random
        self._lifetime = Lifetime()

    async def start(self) -> None:
        """Returns once nodes can reach it. Raises LafsError if they cannot; `stop` is needed then too."""
        configuration, lifetime = self._configuration, self._lifetime
        _move_old_furl(configuration.directory)
        keys = Keys(configuration.directory, self._random)
        tub = NodeTub(configuration, keys, self._reactor)
        write_whole(configuration.path("my_nodeid"), f"{tub.tub_id}\n".encode(), PUBLIC)
        workers = ThreadWorkers(self._reactor, 1, "disk")
        lifetime.then(workers.stop)
        service = IntroducerService(
            configuration.path("private/introducer_announcements"),
            f"lafs/{__version__}",
            clock=self._reactor,
            workers=workers,
        )
        await service.start()
        lifetime.then(service.stop)
        lifetime.then(tub.stop)
        tub.register(service, FURL_FILE)
        await tub.start()
        if configuration.node.web_port is not None:
            from lafs.node.introducer_page import make_site

            site = make_site(service, configuration.node.web_hosts)
            self.url = await web.serve(configuration, self._reactor, site, lifetime)

    async def stop(self) -> None:
        """Write down what is known, and close everything."""
        await self._lifetime.end()


def record_introducer_furl(directory: Path) -> None:
    """Write private/introducer.furl of an introducer that has not run yet."""
    record_furl(read(directory), FURL_FILE, Keys(directory, os.urandom))


def _move_old_furl(directory: Path) -> None:
    """Old nodes had introducer.furl at the top. Spec: 05 §15.1."""
    old, new = directory / FURL_FILE, make_private(directory) / FURL_FILE
    if not old.exists():
        return
    if new.exists():
        raise NodeError(f"both {old} and {new} exist; remove the one that is not given to the nodes of the grid")
    old.rename(new)
