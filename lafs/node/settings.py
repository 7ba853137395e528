"""Every section and option of the configuration, in one table: a frozen class for each section, a line for each option.

A line names the option as it is written in the file, the parser of its value, its default, and what it does (for the
docs). `ours` marks what only lafs knows: such options belong into lafs.cfg, because the peer refuses to start on a
tahoe.cfg that holds them. Filled by `config`. Spec: 08 §20, §21.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from attrs import frozen

from lafs.node import values


@frozen
class Option:
    """How one option is read."""

    name: str
    parse: Callable[[str], object]
    default: object
    says: str
    ours: bool


def setting(name: str, parse: Callable[[str], object], default: object, says: str, *, ours: bool = False) -> Any:
    """The field of a section that holds option `name`; absent, it is `default`, and so it is without any file."""
    return attrs.field(default=default, metadata={"option": Option(name, parse, default, says, ours)})


_SHARES = values.whole_number(1, 256)
_OPTIONAL_SECONDS = values.optional(values.whole_number(1, 10**9))


@frozen
class Node:
    """`[node]`: what every node has."""

    nickname: str = setting("nickname", values.text, "<unspecified>", "the name other people see")
    reveal_address: bool = setting("reveal-IP-address", values.boolean, True, "false: refuse to start rather than show it")
    tub_port: tuple[str, ...] | None = setting("tub.port", values.tub_port, None, "where other nodes reach us")
    tub_location: tuple[str, ...] | None = setting("tub.location", values.tub_location, None, "hints others get of it")
    web_port: str | None = setting("web.port", values.optional(values.endpoint_text), None, "where the gateway listens")
    web_static: str = setting("web.static", values.path, "public_html", "folder shown under /static")
    web_hosts: tuple[str, ...] = setting("web.hosts", values.names, (), "more names of the gateway", ours=True)
    web_content_host: str = setting(
        "web.content_host", values.content_host, "", "host name for the contents of files, or none", ours=True
    )
    web_access_log: str | None = setting(
        "web.access_log", values.optional(values.path), None, "file for a line about each request", ours=True
    )
    temporary: str = setting("tempdir", values.path, "tmp", "folder for uploads in transit")
    keepalive: int | None = setting("timeout.keepalive", _OPTIONAL_SECONDS, None, "seconds of silence before a ping")
    disconnect: int | None = setting("timeout.disconnect", _OPTIONAL_SECONDS, None, "seconds of silence before hanging up")
    log_gatherer: str | None = setting("log_gatherer.furl", values.optional(values.furl), None, "collector of logs")
    kind: str | None = setting("type", values.one_of("client", "introducer"), None, "what this directory is", ours=True)


@frozen
class Connections:
    """`[connections]`: how hints are reached."""

    tcp: str = setting("tcp", values.one_of("tcp", "tor", "i2p", "disabled"), "tcp", "how tcp: hints are reached")


@frozen
class Client:
    """`[client]`: how files are stored and found."""

    needed: int = setting("shares.needed", _SHARES, 3, "shares that suffice to read a file")
    happy: int = setting("shares.happy", _SHARES, 7, "servers an upload must reach")
    total: int = setting("shares.total", _SHARES, 10, "shares made of each file")
    segment_size: int = setting(
        "shares._max_immutable_segment_size_for_testing",
        values.whole_number(1, 2**27),
        1024 * 1024,
        "bytes in a segment",
    )
    convergence: str = setting(
        "convergence", values.one_of("secret", "none"), "secret", "none: a random key for every upload", ours=True
    )
    mutable_format: str = setting("mutable.format", values.text, "sdmf", "sdmf or mdmf")
    preferred: tuple[str, ...] = setting("peers.preferred", values.names, (), "server ids to try first")
    introducer: str | None = setting("introducer.furl", values.optional(values.furl), None, "see introducers.yaml")
    helper: str | None = setting("helper.furl", values.optional(values.furl, "None"), None, "an upload helper")
    force_foolscap: bool = setting("force_foolscap", values.boolean, False, "never speak HTTPS to storage servers")
    plugins: tuple[str, ...] = setting("storage.plugins", values.names, (), "storage plugins")
    key_generator: str = setting("key_generator.furl", values.text, "", "of old releases; has no effect")


@frozen
class Storage:
    """`[storage]`: the storage server of this node."""

    enabled: bool = setting("enabled", values.boolean, True, "run a storage server")
    anonymous: bool = setting("anonymous", values.boolean, True, "serve everybody who knows our FURL")
    readonly: bool = setting("readonly", values.boolean, False, "take no new shares")
    reserved_space: int = setting("reserved_space", values.reserve, 0, "bytes to keep free on the disk")
    directory: str = setting("storage_dir", values.path, "storage", "folder of the shares")
    durability: str = setting("durability", values.one_of("full", "relaxed"), "full", "relaxed: trust the disk's cache", ours=True)
    discard: bool = setting("debug_discard", values.boolean, False, "throw shares away; tests only")
    expire: bool = setting("expire.enabled", values.boolean, False, "delete shares whose leases have expired")
    expire_mode: str | None = setting("expire.mode", values.one_of("age", "cutoff-date"), None, "what ends a lease")
    expire_age: int | None = setting("expire.override_lease_duration", values.duration, None, "age that ends a lease")
    expire_cutoff: int | None = setting("expire.cutoff_date", values.date, None, "first day of living leases")
    expire_immutable: bool = setting("expire.immutable", values.boolean, True, "expire immutable shares")
    expire_mutable: bool = setting("expire.mutable", values.boolean, True, "expire mutable shares")
    plugins: tuple[str, ...] = setting("plugins", values.names, (), "storage plugins")
    grid_management: bool = setting("grid_management", values.boolean, False, "announce [grid_manager_certificates]")
    force_foolscap: bool = setting("force_foolscap", values.boolean, False, "do not offer HTTPS")


@frozen
class Folder:
    """`[storage:NAME]`: a folder of shares that this node uses directly, without a network."""

    directory: str | None = setting("directory", values.path, None, "the folder", ours=True)
    reserved_space: int = setting("reserved_space", values.reserve, 0, "bytes to keep free there", ours=True)
    readonly: bool = setting("readonly", values.boolean, False, "take no new shares", ours=True)


@frozen
class Tor:
    """`[tor]`."""

    enabled: bool = setting("enabled", values.boolean, True, "use Tor")
    launch: bool = setting("launch", values.boolean, False, "start a Tor of our own")
    executable: str = setting("tor.executable", values.text, "", "the program")
    socks_port: str = setting("socks.port", values.text, "", "where its SOCKS port is")
    control_port: str = setting("control.port", values.text, "", "where its control port is")
    onion: bool = setting("onion", values.boolean, False, "be an onion service")
    onion_local_port: str = setting("onion.local_port", values.text, "", "port the onion service comes in by")
    onion_external_port: str = setting("onion.external_port", values.text, "", "port of the onion service")
    onion_key: str = setting("onion.private_key_file", values.text, "", "key of the onion service")


@frozen
class I2p:
    """`[i2p]`."""

    enabled: bool = setting("enabled", values.boolean, True, "use I2P")
    sam_port: str = setting("sam.port", values.text, "", "where its SAM port is")
    launch: bool = setting("launch", values.boolean, False, "start a router of our own")
    configuration: str = setting("i2p.configdir", values.text, "", "folder of the router")
    executable: str = setting("i2p.executable", values.text, "", "the program")
    destination: bool = setting("dest", values.boolean, False, "be an I2P destination")
    destination_port: str = setting("dest.port", values.text, "", "port of the destination")
    destination_key: str = setting("dest.private_key_file", values.text, "", "key of the destination")


@frozen
class Sftpd:
    """`[sftpd]`. Spec: 09 §1."""

    enabled: bool = setting("enabled", values.boolean, False, "serve SFTP")
    port: str = setting("port", values.text, "tcp:8022", "where it listens")
    accounts: str = setting("accounts.file", values.text, "", "who may log in")
    public_key: str = setting("host_pubkey_file", values.text, "", "host key, public half; not needed")
    private_key: str = setting("host_privkey_file", values.text, "", "a host key; others are made in private/")
    times: str = setting(
        "times", values.one_of("modified", "linked"), "modified", "the time shown: as clients set it, or when linked", ours=True
    )


@frozen
class Ftpd:
    """`[ftpd]`. Spec: 09 §18, §19."""

    enabled: bool = setting("enabled", values.boolean, False, "serve FTP", ours=True)
    port: str = setting("port", values.endpoint_text, "tcp:8021", "where it listens; on loopback unless it says", ours=True)
    accounts: str = setting("accounts.file", values.path, "private/accounts", "who may log in", ours=True)
    certificate: str = setting("tls.certificate", values.path, "private/ftp.pem", "its certificate; made if missing", ours=True)
    key: str = setting("tls.key", values.text, "", "the private key, if not in the same file", ours=True)
    allow_plain: bool = setting("allow_plain", values.boolean, False, "take passwords and files without TLS", ours=True)
    passive_ports: tuple[int, ...] = setting("passive.ports", values.port_range, (), "ports for data, FIRST-LAST", ours=True)
    passive_address: str | None = setting(
        "passive.address", values.optional(values.ipv4_address), None, "the address clients see (behind NAT)", ours=True
    )


@frozen
class Helper:
    """`[helper]`."""

    enabled: bool = setting("enabled", values.boolean, False, "run an upload helper")


def options_of(section_class: type) -> Mapping[str, tuple[str, Option]]:
    """The options of a section, as the file knows them (lower case): (name of the field, option)."""
    fields = [(field.name, field.metadata["option"]) for field in attrs.fields(section_class)]
    return {option.name.lower(): (name, option) for name, option in fields}


COMMON: Mapping[str, type] = {"connections": Connections, "node": Node, "i2p": I2p, "tor": Tor}
"""Sections of every node."""

CLIENT: Mapping[str, type] = {**COMMON, "client": Client, "storage": Storage, "sftpd": Sftpd, "ftpd": Ftpd, "helper": Helper}
"""Sections of a client or storage node."""

FREE: Mapping[str, Callable[[str], object]] = {
    "grid_managers": values.public_key,
    "grid_manager_certificates": values.path,
}
"""Sections of a client whose options are names its owner chose, with the parser of their values."""

PLUGIN_PREFIXES = ("storageserver.plugins.", "storageclient.plugins.")
"""Sections that belong to plugins: anything goes."""

FOLDER_PREFIX = "storage:"
