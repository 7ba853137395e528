"""A client node: the grid as one client sees it, its web gateway, and perhaps a storage server of its own.

Puts the rooms together, and takes them apart again: nothing here knows how any of them works. Built by `services`, run by
`process`. Spec: 05 §12.2, §13.3; 08 §§7, 18, 20.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from twisted.logger import Logger

from lafs import __version__
from lafs.crypto import base32
from lafs.crypto.ed25519 import SigningKey, VerifyingKey
from lafs.errors import LafsError, NodeError
from lafs.grid.broker import Broker
from lafs.grid.connection import Connector
from lafs.grid.foolscap_connector import FoolscapConnector, Timeouts
from lafs.interfaces import ServerIdentity
from lafs.node import known_nodes, settings, web
from lafs.node.config import Configuration
from lafs.node.folders import Folders
from lafs.node.introductions import Introductions
from lafs.node.keys import Keys, RandomBytes
from lafs.node.lifetime import Lifetime
from lafs.node.no_connections import NoConnections
from lafs.node.status import SAMPLE_SECONDS, ClientStatus
from lafs.node.tub import NodeTub
from lafs.protocol.announcements import BadAnnouncement
from lafs.statistics import Counters
from lafs.tasks import sleep, spawn
from lafs.workers import ThreadWorkers
from storage_server.disk import RealDisk
from storage_server.foolscap_service import FoolscapStorageService
from storage_server.share_store import ShareStore

if TYPE_CHECKING:
    from frontends.virtual_tree import TreeTools
    from lafs.capability import MutableFormat
    from lafs.filesystem import Filesystem

_log = Logger(namespace="lafs.node")

APPLICATION = f"lafs/{__version__}"

DISK_THREADS = 8
"""Threads that wait for disks: as many syncs as can be under way together."""

FILE_THREADS = 2
"""Threads that read and write the temporary files of SFTP and FTP."""


class ClientNode:
    """One client or storage node; `start` it, then `stop` it, once."""

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
        self._warn = warn
        self._random = random
        self._lifetime = Lifetime()
        self._counters = Counters()
        self._disk_workers = self._threads(DISK_THREADS, "disk")
        self._announced: Mapping[str, object] | None = None

    async def start(self) -> None:
        """Returns once the node serves. Raises LafsError if it cannot; `stop` is needed then too."""
        configuration, lifetime = self._configuration, self._lifetime
        furls = known_nodes.introducers(configuration)
        servers = known_nodes.static_servers(configuration)
        keys = Keys(configuration.directory, self._random)
        signing_key = keys.signing_key()
        tub = NodeTub(configuration, keys, self._reactor)
        keys.publish(tub.tub_id, signing_key)
        keys.renew_api_token()

        broker = self._broker()
        lifetime.then(broker.stop)
        store = await self._storage_server(keys, signing_key, tub, broker)
        folders = self._folders(broker)
        await folders.start()
        self._static_servers(servers, broker)
        lifetime.then(tub.stop)
        await tub.start()
        await broker.start()
        introductions = self._introductions(furls, tub, broker)
        if self._announced is not None:
            introductions.publish(self._announced, signing_key, keys, self._random)
        introductions.start()
        lifetime.then(introductions.stop)

        status = ClientStatus(
            nickname=configuration.node.nickname,
            node_id=signing_key.verifying_key.server_id,
            clock=self._reactor,
            counters=self._counters,
            servers=broker.statuses,
            introducers=introductions.statuses,
        )
        lifetime.then(spawn(self._watch(status, store, folders)).addErrback(lambda _: None).cancel)
        if configuration.node.web_port is not None or configuration.ftpd.enabled or configuration.sftpd.enabled:
            await self._front_ends(self._filesystem(keys, broker), status)

    async def stop(self) -> None:
        """Finish what was acknowledged, give up what was not, and close everything."""
        await self._lifetime.end()

    # --- storage ---

    async def _storage_server(self, keys: Keys, signing_key: SigningKey, tub: NodeTub, broker: Broker) -> ShareStore | None:
        """The storage server of this node: offered to others, and used by this client without a network."""
        configuration = self._configuration
        if not configuration.serves_storage:
            return None
        directory = configuration.path(configuration.storage.directory)
        server_id = signing_key.verifying_key.server_id
        seed = keys.permutation_seed(server_id, tub.tub_id, directory)
        tub_id = base32.decode(tub.tub_id)
        store = await self._store(directory, tub_id, configuration.storage.reserved_space, readonly=configuration.storage.readonly)
        identity = ServerIdentity(server_id, configuration.node.nickname, base32.decode_lax(seed), tub_id)
        await broker.add_local(identity, store)
        if configuration.storage.anonymous:
            furl = tub.register(FoolscapStorageService(store), "storage.furl")
            self._announced = self._announcement(furl, seed)
        return store

    def _announcement(self, furl: str, seed: str) -> dict[str, object]:
        """What is said of this storage server. No HTTPS locations: it does not speak HTTPS yet. Spec: 05 §13.3."""
        return {
            "version": 0,
            "nickname": self._configuration.node.nickname,
            "app-versions": [],
            "my-version": APPLICATION,
            "oldest-supported": "1.0.0",
            "service-name": "storage",
            "anonymous-storage-FURL": furl,
            "permutation-seed-base32": seed,
        }

    def _folders(self, broker: Broker) -> Folders:
        """The folders of [storage:NAME], used without a network."""

        async def use(identity: ServerIdentity, directory: Path, folder: settings.Folder) -> None:
            store = await self._store(directory, identity.lease_seed, folder.reserved_space, readonly=folder.readonly)
            await broker.add_local(identity, store)

        return Folders(self._configuration, use, self._warn)

    async def _store(self, directory: Path, node_id: bytes, reserved_space: int, *, readonly: bool) -> ShareStore:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise NodeError(f"the storage directory {directory} cannot be made: {error.strerror}") from None
        store = ShareStore(
            directory,
            disk=RealDisk(),
            workers=self._disk_workers,
            clock=self._reactor,
            node_id=node_id,
            reserved_space=reserved_space,
            readonly=readonly,
            durability=cast("Literal['full', 'relaxed']", self._configuration.storage.durability),
            counters=self._counters,
        )
        await store.start()
        self._lifetime.then(store.stop)
        return store

    # --- the grid ---

    def _broker(self) -> Broker:
        configuration = self._configuration
        usual = Timeouts()
        timeouts = Timeouts(configuration.node.keepalive or usual.keepalive, configuration.node.disconnect or usual.disconnect)
        connector: Connector = (
            NoConnections() if configuration.connections.tcp == "disabled" else FoolscapConnector(self._reactor, timeouts)
        )
        managers = [VerifyingKey.parse(key) for key in configuration.grid_managers.values()]
        return Broker(connector, self._reactor, frozenset(configuration.client.preferred), managers)

    def _introductions(self, furls: Mapping[str, str], tub: NodeTub, broker: Broker) -> Introductions:
        return Introductions(
            furls,
            tub,
            self._configuration,
            broker.hear,
            application=APPLICATION,
            clock=self._reactor,
            workers=self._disk_workers,
        )

    def _static_servers(self, servers: Mapping[str, Mapping[str, Any]], broker: Broker) -> None:
        for server_id, entry in servers.items():
            try:
                broker.add_static(server_id, entry)
            except BadAnnouncement as error:
                self._warn(f"Warning: private/servers.yaml: {error}. Going on without that server")

    # --- the client ---

    async def _front_ends(self, filesystem: Filesystem, status: ClientStatus) -> None:
        # Imported here: a node that only stores needs none of it.
        configuration = self._configuration
        if configuration.node.web_port is not None:
            self.url = await self._gateway(filesystem, status)
        if configuration.ftpd.enabled or configuration.sftpd.enabled:
            trees = self._trees(filesystem)
            if configuration.ftpd.enabled:
                from lafs.node import ftp

                await ftp.serve(configuration, self._reactor, trees, self._lifetime)
            if configuration.sftpd.enabled:
                from lafs.node import sftp

                await sftp.serve(configuration, self._reactor, trees, self._lifetime)
        filesystem.prepare_keys()

    async def _gateway(self, filesystem: Filesystem, status: ClientStatus) -> str | None:
        from frontends.web.site import make_site
        from lafs.node.incidents import Incidents
        from lafs.node.web_sessions import kept_sessions

        configuration = self._configuration
        site = make_site(
            filesystem,
            status,
            clock=self._reactor,
            counters=self._counters,
            allowed_hosts=configuration.node.web_hosts,
            content_host=configuration.node.web_content_host,
            access_log=web.access_log(configuration, self._reactor, self._lifetime),
            default_format=self._format,
            sessions=kept_sessions(configuration.directory, self._reactor, self._random, self._disk_workers, self._lifetime),
            random=self._random,
            workers=self._disk_workers,
            static=configuration.path(configuration.node.web_static),
            save_incident=Incidents(configuration.directory, self._disk_workers).save,
        )
        return await web.serve(self._configuration, self._reactor, site, self._lifetime)

    def _trees(self, filesystem: Filesystem) -> TreeTools:
        """What SFTP and FTP share: whoever writes a file through one is seen through the other."""
        from frontends.scratch import ScratchSpace
        from frontends.virtual_tree import TreeTools

        space = ScratchSpace(self._configuration.path(self._configuration.node.temporary))
        return TreeTools(filesystem, self._threads(FILE_THREADS, "files"), space, self._format)

    @property
    def _format(self) -> MutableFormat:
        return "MDMF" if self._configuration.client.mutable_format.lower() == "mdmf" else "SDMF"

    def _filesystem(self, keys: Keys, broker: Broker) -> Filesystem:
        from lafs.filesystem import ClientSecrets, Filesystem
        from lafs.mutable.key_pool import KeyPool

        configuration = self._configuration
        spool = configuration.path(configuration.node.temporary)
        try:
            spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise NodeError(f"[node] tempdir: {spool} cannot be made: {error.strerror}") from None
        convergence = None if configuration.client.convergence == "none" else keys.convergence_secret()
        workers = self._threads(os.cpu_count() or 2, "coding")
        fresh_keys = KeyPool(workers, clock=self._reactor)
        self._lifetime.then(fresh_keys.stop)
        return Filesystem(
            broker,
            workers,
            self._reactor,
            ClientSecrets(keys.lease_secret(), convergence),
            configuration.encoding,
            self._counters,
            spool,
            keys=fresh_keys,
            settled=partial(broker.settled, configuration.encoding.happy, configuration.encoding.total),
        )

    def _threads(self, count: int, name: str) -> ThreadWorkers:
        workers = ThreadWorkers(self._reactor, count, name)
        self._lifetime.then(workers.stop)
        return workers

    async def _watch(self, status: ClientStatus, store: ShareStore | None, folders: Folders) -> None:
        while True:
            try:
                status.storage = {} if store is None else await store.statistics()
            except LafsError:
                _log.failure("the storage directory could not be measured")
            await sleep(SAMPLE_SECONDS, self._reactor)
            status.sample()
            await folders.look_again()
