from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.ssl import PrivateCertificate
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


class LoopbackCase(TestCase):
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
            channel = build(address)
            lose = channel.connectionLost

            def forget_channel(reason: Any) -> None:
                self.channels.remove(channel)
                lose(reason)

            channel.connectionLost = forget_channel
            self.channels.append(channel)
            return channel

        site.buildProtocol = remember_channel
        self.addCleanup(self.hang_up)
        self.port = self.listen(site)

    def listen(self, site: Any) -> int:
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=30)

    async def hang_up(self) -> None:
        """Let every connection end before the test does."""
        for channel in list(self.channels):
            channel.transport.abortConnection()
        await deferLater(reactor, 0)
        await deferLater(reactor, 0)

    def ask(self, work: Callable[[HTTPConnection], Any]) -> Deferred[Any]:
        """The result of `work` with a connection to the gateway, done in a thread."""

        def run() -> Any:
            connection = self.connection()
            try:
                return work(connection)
            finally:
                connection.close()

        return deferToThread(run)


class Loopback(LoopbackCase):
    """Streaming, seen from outside."""

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
            connection = self.connection()
            connection.request("GET", "/status?t=json")
            body = connection.getresponse().read()
            connection.close()
            return float(json.loads(body)["active"][0]["progress"])

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


class Tls(LoopbackCase):
    """The same behind an `ssl:` endpoint."""

    def listen(self, site: Any) -> int:
        key, certificate = self_signed()
        options = PrivateCertificate.loadPEM(key + certificate).options()
        port = reactor.listenSSL(0, site, options, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def connection(self) -> HTTPConnection:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["http/1.1"])
        return HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)

    async def test_files_go_in_and_come_out(self) -> None:
        contents = bytes(range(256)) * 4 * 4096

        def work(connection: HTTPConnection) -> bytes:
            connection.request("PUT", "/uri", body=contents)
            cap = connection.getresponse().read().decode()
            self.files.stored[cap].contents = memoryview(contents)
            connection.request("GET", "/uri/" + q(cap))
            return connection.getresponse().read()

        self.assertEqual(await self.ask(work), contents)


def self_signed() -> tuple[bytes, bytes]:
    """(private key, certificate), both PEM, that nobody else has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=36500)).sign(key, hashes.SHA256())
    )
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(serialization.Encoding.PEM, *plain), certificate.public_bytes(serialization.Encoding.PEM)


class _Ignored:
    """Takes any number of callbacks."""

    def callback(self, _: object) -> None:
        pass
