"""An FTP server on a grid in memory, and clients that talk to it line by line. Time is virtual, wires are fake, the rest real."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError, ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from frontends.ftp.server import FtpServer
from frontends.ftp.session import Tools
from frontends.scratch import ScratchSpace
from frontends.virtual_tree import Tree, TreeTools
from lafs.capability import Cap, parse
from lafs.capability_slots import child_caps
from lafs.directory.directory import Directory
from lafs.immutable.parameters import EncodingParameters
from lafs.interfaces import NewChild
from lafs.tasks import Clock, sleep
from lafs.workers import InlineWorkers
from tests.memory_grid import Grid, ms

HERE = "192.0.2.1"
CLIENT = "198.51.100.7"
CONTROL_CONTEXT, DATA_CONTEXT = object(), object()
ENCODING = EncodingParameters(3, 4, 5)


def address(host: str, port: int) -> IPv4Address | IPv6Address:
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)


class Wire:
    """A fake TCP transport with a protocol at our end. `capacity`: bytes it takes before it asks to pause; None: all."""

    def __init__(self, clock: Any, own: str, peer: str, capacity: int | None = None) -> None:
        self.clock = clock
        self.own, self.peer = own, peer
        self.capacity = capacity
        self.sent = bytearray()
        self.protocol: Any = None
        self.producer: Any = None
        self.is_held = False
        self.context: object = None
        self.ended: str | None = None
        self.waits_for_handshake = False

    def make(self, protocol: Any) -> Wire:
        self.protocol = protocol
        protocol.makeConnection(self)
        return self

    # --- what the other side does ---

    def deliver(self, data: bytes) -> None:
        assert self.ended is None, "the connection is over"
        self.protocol.dataReceived(data)

    def end(self, error: BaseException | None = None) -> None:
        """The client closes in order, or the connection breaks with `error`."""
        if self.ended is None:
            self.ended = "in order" if error is None else "broken"
            self.protocol.connectionLost(Failure(error or ConnectionDone()))

    def reset(self) -> None:
        self.end(ConnectionLost())

    def drain(self) -> bytes:
        """Take all that was sent; the sender may go on."""
        taken = bytes(self.sent)
        self.sent.clear()
        if self.producer is not None:
            self.producer.resumeProducing()
        return taken

    # --- ITransport ---

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if self.ended is None:
            self.sent += data
            if self.capacity is not None and len(self.sent) > self.capacity and self.producer is not None:
                self.producer.pauseProducing()

    def loseConnection(self) -> None:
        if self.context is not None and self.waits_for_handshake:
            return self.abortConnection()
        self.clock.callLater(0, self.end)
        return None

    def abortConnection(self) -> None:
        if self.ended is None:
            self.ended = "aborted"
            self.clock.callLater(0, self.protocol.connectionLost, Failure(ConnectionAborted()))

    def getHost(self) -> Any:
        return address(self.own, 21)

    def getPeer(self) -> Any:
        return address(self.peer, 40000)

    def getHandle(self) -> object:
        return None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.is_held = True

    def resumeProducing(self) -> None:
        self.is_held = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def setTcpKeepAlive(self, enabled: bool) -> None:
        pass

    def startTLS(self, context: object) -> None:
        self.context = context
        self.waits_for_handshake = True

    def shake_hands(self) -> None:
        self.waits_for_handshake = False
        if hasattr(self.protocol, "handshakeCompleted"):
            self.protocol.handshakeCompleted()


class Port:
    """A fake listening port."""

    def __init__(self, number: int, factory: Any, interface: str) -> None:
        self.number, self.factory, self.interface = number, factory, interface
        self.is_open = True

    def getHost(self) -> Any:
        return address(self.interface, self.number)

    def stopListening(self) -> None:
        self.is_open = False


class Reactor:
    """Listens on fake ports; those in `busy` are taken."""

    def __init__(self) -> None:
        self.ports: list[Port] = []
        self.busy: set[int] = set()

    def listenTCP(self, number: int, factory: Any, backlog: int, interface: str) -> Port:
        if number in self.busy:
            raise CannotListenError(interface, number, OSError())
        port = Port(number or 50000 + len(self.ports), factory, interface)
        self.ports.append(port)
        return port


class OneAccount:
    """alice's password is `sécret`; whoever else tries is answered after two seconds."""

    def __init__(self, clock: Clock, root: Cap) -> None:
        self.clock = clock
        self.root = root

    async def check_password(self, name: str, password: str) -> Cap | None:
        if (name, password) == ("alice", "sécret"):
            return self.root
        await sleep(2, self.clock)
        return None


class Server:
    """The server, its grid, and the directory that alice sees."""

    def __init__(self, servers: int = 5, capacity: int | None = None, **options: Any) -> None:
        self.grid = Grid(servers, ENCODING, ms(5), capacity=capacity)
        self.reactor = Reactor()
        self.root: Directory = self.grid.run(self.grid.client.create_directory())
        self.trees = TreeTools(self.grid.client, InlineWorkers(), ScratchSpace(None))
        self.tools = Tools(
            reactor=self.reactor,
            clock=self.grid.clock,
            accounts=OneAccount(self.grid.clock, self.root.cap),
            tree_of=lambda root: Tree(self.trees, root),
            contexts=(CONTROL_CONTEXT, DATA_CONTEXT),
            choose=lambda count: count - 1,
            allow_plain=True,
        )
        self.tools = evolve(self.tools, **options)
        self.factory = FtpServer(self.tools)

    def visit(self, own: str = HERE, peer: str = CLIENT) -> Client:
        """A client that has been greeted."""
        return Client(self, own, peer)

    def alice(self) -> Client:
        """A client that has logged in, and said TYPE I."""
        client = self.visit()
        client.expect(331, "USER alice")
        client.expect(230, "PASS sécret")
        client.expect(200, "TYPE I")
        return client

    def put(self, name: str, contents: bytes) -> None:
        """A file in alice's directory, by another way."""
        cap = self.grid.upload(contents)
        self.link(name, cap.text)

    def link(self, name: str, cap_text: str) -> None:
        cap = parse(cap_text)
        caps = child_caps(None, cap_text) if cap.is_readonly else child_caps(cap_text, None)
        self.grid.run(self.root.add([NewChild(name, caps)]))

    def names(self) -> list[str]:
        return list(self.grid.run(self.root.list()).children)

    def contents(self, name: str) -> bytes:
        child = self.grid.run(self.root.get(name))
        assert child.cap is not None
        if child.cap.is_mutable:
            return self.grid.run(self.grid.client.open_mutable(child.cap).contents())[0]
        return self.grid.download(child.cap).content


class Client:
    """The far end of one control connection."""

    def __init__(self, server: Server, own: str, peer: str) -> None:
        self.server = server
        self.grid = server.grid
        self.wire = Wire(server.grid.clock, own, peer).make(server.factory.buildProtocol(address(peer, 40000)))
        self.greeting = self.reply()

    def tell(self, *lines: str | bytes) -> None:
        """Send `lines` in one go."""
        self.wire.deliver(b"".join((line.encode() if isinstance(line, str) else line) + b"\r\n" for line in lines))

    def reply(self) -> str:
        """The next reply, all of its lines."""
        self.until(lambda: self._end_of_reply() > 0)
        end = self._end_of_reply()
        text = self.wire.sent[:end].decode()
        del self.wire.sent[:end]
        return text

    def expect(self, code: int, line: str | bytes | None = None) -> str:
        """Say `line`, and get a reply of this code."""
        if line is not None:
            self.tell(line)
        reply = self.reply()
        assert reply.startswith(str(code)), f"{reply!r} to {line!r}"
        return reply

    def until(self, condition: Callable[[], bool]) -> None:
        self.grid.time.run_until(condition)

    def pause(self, seconds: float) -> None:
        self.grid.time.pass_time(seconds)

    def is_silent(self) -> bool:
        """Nothing was said that was not asked for."""
        return not self.wire.sent

    # --- data connections ---

    def port(self) -> Port:
        """A passive port."""
        self.expect(229, "EPSV")
        return self.server.reactor.ports[-1]

    def connect(self, port: Port, peer: str | None = None, capacity: int | None = None) -> Wire:
        """Connect to a passive port. Raises ConnectionRefusedError."""
        peer = peer or self.wire.peer
        protocol = port.factory.buildProtocol(address(peer, 40001)) if port.is_open else None
        if protocol is None:
            raise ConnectionRefusedError
        return Wire(self.grid.clock, port.interface, peer, capacity).make(protocol)

    def download(self, command: str, code: int = 226) -> bytes:
        """What a transfer sends."""
        wire = self.connect(self.port())
        self.expect(150, command)
        self.expect(code)
        self.until(lambda: wire.ended is not None)
        return bytes(wire.sent)

    def upload(self, command: str, *pieces: bytes, code: int = 226) -> str:
        """Send `pieces`, end in order, and get the last reply."""
        wire = self.connect(self.port())
        self.expect(150, command)
        for piece in pieces:
            if wire.ended is None:
                wire.deliver(piece)
        wire.end()
        return self.expect(code)

    def _end_of_reply(self) -> int:
        """How long the first reply is, if all of it is here; else 0."""
        position = 0
        code = bytes(self.wire.sent[:3])
        while (end := self.wire.sent.find(b"\r\n", position)) >= 0:
            line = self.wire.sent[position:end]
            position = end + 2
            if line.startswith(code + b" "):
                return position
        return 0
