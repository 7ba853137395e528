"""A whole grid on loopback: an introducer, servers and clients, each a process, each of lafs or of the peer.

    with Grid([LAFS] * 4, encoding=Encoding(2, 3, 4)) as grid:
        cap = grid.client().put(b"...")

Costs seconds to start, so a test module starts one and its tests share it.
"""
from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attrs import frozen

from tests.process.gateway import Gateway
from tests.process.harness import LAFS, Node, Program, free_port, set_options, wait_until

CONVERGENCE = "n5xgy6jamzxxeidumvzxi4zmebvw433xnyqhi3zanzxwe33epeqq"
"""Base32 of the convergence secret of every client, so that all make the same caps of the same content."""


@frozen
class Encoding:
    """What a client asks of its grid."""

    needed: int
    happy: int
    total: int


class Client(Gateway):
    """A client node and its gateway."""

    def __init__(self, node: Node, port: int) -> None:
        super().__init__(port)
        self.node = node

    def wait_connected(self, servers: int) -> None:
        wait_until(lambda: self.connected() == servers, f"{self.node} to see {servers} servers")


class Grid:
    """Processes that belong together. Everything is below one temporary folder, and gone with it after `close`."""

    def __init__(
        self,
        servers: Sequence[Program],
        *,
        encoding: Encoding,
        clients: Sequence[Program] = (LAFS,),
        introducer: Program = LAFS,
        prepare: Callable[[Node], None] = lambda server: None,
        folder: Path | None = None,
    ) -> None:
        """`prepare` is called with every server before it is started, to change its configuration."""
        self.encoding = encoding
        self.folder = Path(tempfile.mkdtemp(prefix="lafs-grid-", dir=folder))
        self.clients: list[Client] = []
        self.servers: list[Node] = []
        self.nodes: list[Node] = []
        try:
            self._start(introducer, servers, clients, prepare)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Grid:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process and remove everything."""
        for node in self.nodes:
            if node.is_alive:
                node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def running(self) -> list[Node]:
        return [node for node in self.nodes if node.is_alive]

    def client(self, program: Program = LAFS) -> Client:
        """The first client that runs `program`."""
        return next(each for each in self.clients if each.node.program == program)

    def wait_connected(self, servers: int | None = None) -> None:
        """Wait until every running client is connected to so many servers, by default all."""
        for client in self.clients:
            if client.node.is_alive:
                client.wait_connected(len(self.servers) if servers is None else servers)

    def heal(self) -> None:
        """Resume and start again whatever a test has paused or ended; return when all are connected."""
        for node in self.nodes:
            if node.is_alive:
                node.resume()
            else:
                node.start()
        self.wait_connected()

    def add_client(self, program: Program = LAFS, options: Mapping[str, str] | None = None) -> Client:
        """One more client, connected to all servers. `options` are more of its section [client]."""
        client = self.make_client(program, options)
        client.node.start()
        client.wait_connected(len(self.servers))
        return client

    def make_client(self, program: Program = LAFS, options: Mapping[str, str] | None = None) -> Client:
        """The same, not started yet."""
        return self._made_client(len(self.clients) + 1, program, options or {})

    def share_files(self, storage_index: str) -> Mapping[tuple[int, int], Path]:
        """Where the shares of a file are: (position of the server, share number) -> path."""
        found: dict[tuple[int, int], Path] = {}
        for position, server in enumerate(self.servers):
            folder = server.directory / "storage" / "shares" / storage_index[:2] / storage_index
            if folder.is_dir():
                found |= {(position, int(each.name)): each for each in folder.iterdir()}
        return found

    def incoming(self) -> Sequence[Path]:
        """Shares of uploads that are not finished. The journal of a server lies in the same folder, and stays."""
        places = (server.directory / "storage" / "shares" / "incoming" for server in self.servers)
        files = (path for place in places if place.is_dir() for path in place.rglob("*") if path.is_file())
        return [path for path in files if not path.name.startswith("journal-")]

    # --- making it ---

    def _start(
        self, introducer: Program, servers: Sequence[Program], clients: Sequence[Program], prepare: Callable[[Node], None]
    ) -> None:
        self._furl = self._introducer(introducer)
        with ThreadPoolExecutor(3) as pool:
            made = [pool.submit(self._server, number, program) for number, program in enumerate(servers, 1)]
            wanted = [pool.submit(self._made_client, number, program, {}) for number, program in enumerate(clients, 1)]
            self.servers = [each.result() for each in made]
            for each in wanted:
                each.result()
        self.clients.sort(key=lambda client: client.node.directory.name)
        for server in self.servers:
            prepare(server)
            server.start()
        for client in self.clients:
            client.node.start()
        self.wait_connected()

    def _introducer(self, program: Program) -> str:
        node = self._made("introducer", program, "create-introducer", "--listen=tcp", *_listening(free_port()))
        node.start()
        furl = node.directory / "private" / "introducer.furl"
        return wait_until(lambda: furl.read_text().strip() if furl.exists() else "", "the introducer's FURL")

    def _server(self, number: int, program: Program) -> Node:
        named = (f"--introducer={self._furl}", f"--nickname=s{number}")
        return self._made(f"server{number}", program, "create-node", *named, "--webport=none", *_listening(free_port()))

    def _made_client(self, number: int, program: Program, options: Mapping[str, str]) -> Client:
        port, encoding = free_port(), self.encoding
        node = self._made(
            f"client{number}",
            program,
            "create-client",
            f"--introducer={self._furl}",
            f"--nickname=c{number}",
            f"--webport=tcp:{port}:interface=127.0.0.1",
            f"--shares-needed={encoding.needed}",
            f"--shares-happy={encoding.happy}",
            f"--shares-total={encoding.total}",
        )
        (node.directory / "private" / "convergence").write_text(f"{CONVERGENCE}\n")
        set_options(node.directory / program.configuration, "client", {"force_foolscap": "true", **options})
        client = Client(node, port)
        self.clients.append(client)
        return client

    def _made(self, name: str, program: Program, *create: str) -> Node:
        directory = self.folder / name
        program.run(*create, directory)
        (directory / "private").mkdir(exist_ok=True)
        node = Node(directory, program)
        self.nodes.append(node)
        return node


def _listening(port: int) -> Sequence[str]:
    return f"--port=tcp:{port}:interface=127.0.0.1", f"--location=tcp:127.0.0.1:{port}"
