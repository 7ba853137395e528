from __future__ import annotations

from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from frontends.web.body import HIGH_WATER, Body
from frontends.web.channel import READ_SIZE, Exchange
from frontends.web.site import make_site
from lafs.interfaces import Source, UploadResult
from lafs.statistics import Counters
from tests.web.harness import q
from tests.web.memory_files import MemoryFiles, Overview

reactor: Any = installed_reactor

MIB = 1024 * 1024


class NoticedFiles(MemoryFiles):
    """Tells when an upload is over."""

    def __init__(self) -> None:
        super().__init__()
        self.over: Deferred[None] = Deferred()

    async def upload(self, source: Source) -> UploadResult:
        try:
            return await super().upload(source)
        finally:
            self.over.callback(None)


class Loopback(TestCase):
    """The gateway behind a real socket, with clients from the standard library in a thread."""

    timeout = 60

    def setUp(self) -> None:
        self.files = NoticedFiles()
        site = make_site(self.files, Overview(), clock=reactor, counters=Counters())
        self.bodies: list[Body] = []
        serve = site.serve

        def remember(exchange: Exchange) -> Deferred[None]:
            self.bodies.append(exchange.body)
            return serve(exchange)

        site.serve = remember
        build = site.buildProtocol
        self.channels: list[Any] = []

        def remember_channel(address: Any) -> Any:
            self.channels.append(build(address))
            return self.channels[-1]

        site.buildProtocol = remember_channel
        self.addCleanup(self.hang_up)
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port

    async def hang_up(self) -> None:
        """Let every connection end before the test does."""
        for channel in self.channels:
            channel.transport.abortConnection()
        await deferLater(reactor, 0)
        await deferLater(reactor, 0)

    def ask(self, work: Callable[[HTTPConnection], Any]) -> Deferred[Any]:
        """The result of `work` with a connection to the gateway, done in a thread."""

        def run() -> Any:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                return work(connection)
            finally:
                connection.close()

        return deferToThread(run)

    async def test_a_large_upload_streams_through_little_memory(self) -> None:
        self.files.keep = False

        def chunks() -> Iterator[bytes]:
            for _ in range(64):
                yield bytes(MIB)

        def put(connection: HTTPConnection) -> tuple[int, bytes]:
            connection.request("PUT", "/uri", body=chunks(), headers={"Content-Length": str(64 * MIB)})
            response = connection.getresponse()
            return response.status, response.read()

        status, cap = await self.ask(put)
        self.assertEqual((status, cap.rpartition(b":")[2]), (200, b"%d" % (64 * MIB)))
        self.assertEqual(self.files.received, 64 * MIB)
        self.assertLessEqual(max(body.most_waiting for body in self.bodies), HIGH_WATER + READ_SIZE)

    async def test_a_large_chunked_upload_does_too(self) -> None:
        self.files.keep = False

        def put(connection: HTTPConnection) -> int:
            connection.request("PUT", "/uri", body=iter([bytes(MIB)] * 16), encode_chunked=True)
            return connection.getresponse().status

        self.assertEqual(await self.ask(put), 200)
        self.assertEqual(self.files.received, 16 * MIB)
        self.assertLessEqual(max(body.most_waiting for body in self.bodies), MIB + HIGH_WATER + READ_SIZE)

    async def test_a_large_download_waits_for_a_client_that_does_not_read(self) -> None:
        file = self.files.add(bytes(64 * MIB))
        path = "/uri/" + q(file.cap.text)

        def progress() -> float:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
            connection.request("GET", "/status?t=json")
            body = connection.getresponse().read()
            connection.close()
            return float(body.partition(b'"progress": ')[2].partition(b"\n")[0])

        def get(connection: HTTPConnection) -> tuple[float, int]:
            connection.request("GET", path)
            response = connection.getresponse()
            now = progress()
            size = 0
            while data := response.read(MIB):
                size += len(data)
            return now, size

        halfway, size = await self.ask(get)
        self.assertLess(halfway, 0.5)
        self.assertEqual(size, 64 * MIB)

    async def test_a_client_that_sends_on_after_an_early_error_reads_the_error(self) -> None:
        def put(connection: HTTPConnection) -> tuple[int, bytes]:
            connection.request("PUT", "/uri?format=foo", body=bytes(16 * MIB))
            response = connection.getresponse()
            return response.status, response.read()

        self.assertEqual(await self.ask(put), (400, b"Unknown format: foo, I know CHK, SDMF, MDMF"))

    async def test_a_client_that_closes_in_the_middle_fails_the_upload(self) -> None:
        def put(connection: HTTPConnection) -> None:
            connection.putrequest("PUT", "/uri")
            connection.putheader("Content-Length", str(16 * MIB))
            connection.endheaders()
            connection.send(bytes(MIB))

        await self.ask(put)
        await self.files.over
        self.assertEqual([type(error).__name__ for error in self.files.upload_errors], ["SourceFailed"])
        self.assertEqual(self.files.stored, {})

    async def test_a_client_that_closes_in_the_middle_ends_the_download(self) -> None:
        file = self.files.add(bytes(64 * MIB))

        def get(connection: HTTPConnection) -> bytes:
            connection.request("GET", "/uri/" + q(file.cap.text))
            return connection.getresponse().read(1000)

        await self.ask(get)
        self.assertEqual(type(await file.read_over).__name__, "CancelledError")

    async def test_a_download_that_breaks_off_is_never_taken_for_whole(self) -> None:
        file = self.files.add(bytes(4 * MIB))
        file.fails_after = MIB

        def get(connection: HTTPConnection) -> str:
            connection.request("GET", "/uri/" + q(file.cap.text))
            try:
                connection.getresponse().read()
            except (HTTPException, OSError) as error:
                return type(error).__name__
            return "whole"

        self.assertIn(await self.ask(get), ("IncompleteRead", "ConnectionResetError"))

    async def test_one_connection_serves_many_requests(self) -> None:
        def work(connection: HTTPConnection) -> list[bytes]:
            answers = []
            for number in range(20):
                connection.request("PUT", "/uri", body=b"%d" % number * 100)
                cap = connection.getresponse().read().decode()
                connection.request("GET", "/uri/" + q(cap))
                answers.append(connection.getresponse().read())
            self.socket_names.add(connection.sock.getsockname())
            return answers

        self.socket_names: set[Any] = set()
        self.files.over = _Ignored()
        answers = await self.ask(work)
        self.assertEqual(answers, [b"%d" % number * 100 for number in range(20)])
        self.assertEqual(len(self.socket_names), 1)


class _Ignored:
    """Takes any number of callbacks."""

    def callback(self, _: object) -> None:
        pass
