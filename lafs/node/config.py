"""The configuration of a node: one typed, validated, frozen picture, read once at start.

It comes from tahoe.cfg (the peer's file, never written), overlaid option by option by lafs.cfg (ours: same language,
plus settings the peer does not know). Everything that can be wrong is found here, before anything starts, and reported
with file, line and the nearest known name. What is known but not built becomes a notice, never silence; what would give
an address away is refused.

What a directory is (client or introducer) is said by `[node] type` of lafs.cfg, else by the name of the peer's marker
(*.tac). What lafs makes has no marker: the peer, which does not read lafs.cfg, would start on it with all defaults,
storage and address included.

Read by `services`, `process` and the commands of lafs/cli/nodes. Spec: 08 §§18-21, 05 §16.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, cast, get_args

from attrs import evolve, field, frozen

from lafs.errors import ConfigurationError, NodeError
from lafs.immutable.parameters import EncodingParameters
from lafs.node import settings
from lafs.node.configuration_file import LARGEST_FILE, Entry, Section, parse

PEER_FILE = "tahoe.cfg"
OUR_FILE = "lafs.cfg"

Kind = Literal["client", "introducer"]

_OLD_FILES = (
    "nickname", "webport", "keepalive_timeout", "log_gatherer.furl", "disconnect_timeout", "advertised_ip_addresses",
    "introducer.furl", "helper.furl", "key_generator.furl", "stats_gatherer.furl", "no_storage", "readonly_storage",
    "sizelimit", "debug_discard_storage", "run_helper",
)  # fmt: skip
"""Configuration of nodes older than tahoe.cfg: ignoring it would start a node its owner did not mean. Spec: 08 §18."""


@frozen
class Configuration:
    """What a node directory asks for. Paths in it are relative to `directory`: use `path`."""

    directory: Path
    kind: Kind
    node: settings.Node = field(factory=settings.Node)
    connections: settings.Connections = field(factory=settings.Connections)
    client: settings.Client = field(factory=settings.Client)
    storage: settings.Storage = field(factory=settings.Storage)
    tor: settings.Tor = field(factory=settings.Tor)
    i2p: settings.I2p = field(factory=settings.I2p)
    sftpd: settings.Sftpd = field(factory=settings.Sftpd)
    ftpd: settings.Ftpd = field(factory=settings.Ftpd)
    helper: settings.Helper = field(factory=settings.Helper)
    folders: Mapping[str, settings.Folder] = field(factory=dict)
    grid_managers: Mapping[str, str] = field(factory=dict, repr=False)
    grid_manager_certificates: Mapping[str, str] = field(factory=dict)
    encoding: EncodingParameters = field(factory=EncodingParameters)
    notices: tuple[str, ...] = ()
    """One line each: what the configuration asks for and this release does not do, or does differently."""

    def path(self, relative: Path | Any) -> Path:
        return self.directory / relative

    @property
    def listens(self) -> bool:
        """Whether other nodes can reach this one."""
        return self.node.tub_port != ()

    @property
    def serves_storage(self) -> bool:
        return self.kind == "client" and self.storage.enabled


def read(directory: Path) -> Configuration:
    """The configuration of the node in `directory`. Raises NodeError if there is no node, ConfigurationError."""
    if not directory.is_dir():
        raise NodeError(f"'{directory}' does not look like a directory at all")
    peers, ours = (_sections(directory / name) for name in (PEER_FILE, OUR_FILE))
    kind = _kind(directory, ours)
    _refuse_old_files(directory, kind)
    return _Reader(directory, kind, _overlaid(peers or {}, ours or {})).configuration()


def encoding_for_folders(count: int) -> EncodingParameters:
    """How files are spread over `count` folders (disks) of one machine: any two fifths of them, rounded, may be lost.

    1 of 1, 1 of 2, 2 of 3, 2 of 4, 3 of 5, 4 of 6, 4 of 7, ... An upload succeeds while half of the spare folders are
    missing, so that one dead disk does not stop the node. One file uses 256 folders at most.
    """
    total = min(count, 256)
    spare = (4 * total + 5) // 10
    return EncodingParameters(needed=total - spare, happy=total - spare + spare // 2, total=total)


def _sections(path: Path) -> Mapping[str, Section] | None:
    """What the file says; None if there is none."""
    try:
        with path.open("rb") as file:
            return parse(str(path), file.read(LARGEST_FILE + 1))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None


def _kind(directory: Path, ours: Mapping[str, Section] | None) -> Kind:
    node = (ours or {}).get("node")
    if node is not None and (entry := node.options.get("type")) is not None:
        return cast(Kind, _parsed(settings.options_of(settings.Node)["type"][1], "node", entry))
    for marker in sorted(directory.glob("*.tac")):
        for kind in get_args(Kind):
            if kind in marker.name:
                return cast(Kind, kind)
    if ours is not None:
        return "client"
    raise NodeError(
        f"'{directory}' is not a recognizable node directory: it holds neither {OUR_FILE} nor a *.tac file."
        " Make a node with 'lafs create-node', 'lafs create-client' or 'lafs create-introducer',"
        " or a whole grid with 'lafs up'"
    )


def _refuse_old_files(directory: Path, kind: Kind) -> None:
    allowed = {"introducer.furl"} if kind == "introducer" else set()
    found = [name for name in _OLD_FILES if name not in allowed and (directory / name).exists()]
    if found:
        raise ConfigurationError(
            f"Found pre-Tahoe-LAFS-v1.3 configuration file(s): {', '.join(found)};"
            f" move what they say into {OUR_FILE}, and remove them"
        )


def _overlaid(below: Mapping[str, Section], above: Mapping[str, Section]) -> Mapping[str, Section]:
    """All sections of both; an option of `above` hides that of `below`."""
    merged = {**below, **above}
    for name in below.keys() & above.keys():
        merged[name] = evolve(above[name], options={**below[name].options, **above[name].options})
    return merged


def _parsed(option: settings.Option, section: str, entry: Entry) -> object:
    try:
        return option.parse(entry.value)
    except ValueError as error:
        raise ConfigurationError(f"{entry.where}: [{section}] {option.name}: {error}") from None


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    nearest = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""


class _Reader:
    """From sections of text to a `Configuration`: unknown names, bad values, then what does not go together."""

    def __init__(self, directory: Path, kind: Kind, sections: Mapping[str, Section]) -> None:
        self.directory = directory
        self.kind = kind
        self.sections = sections
        self.table = settings.CLIENT if kind == "client" else settings.COMMON

    def configuration(self) -> Configuration:
        for name, section in self.sections.items():
            self._check_names(name, section)
        known: dict[str, Any] = {name: self._section(name, each) for name, each in self.table.items()}
        free = {name: self._free_section(name) for name in settings.FREE}
        folders = {
            name.removeprefix(settings.FOLDER_PREFIX): self._section(name, settings.Folder)
            for name in self.sections
            if name.startswith(settings.FOLDER_PREFIX)
        }
        configuration = Configuration(
            self.directory,
            self.kind,
            **known,
            folders=folders,
            grid_managers=free["grid_managers"],
            grid_manager_certificates=free["grid_manager_certificates"],
            encoding=self._encoding(known.get("client", settings.Client()), len(folders)),
        )
        self._check_listening(configuration)
        self._check_privacy(configuration)
        self._check_folders(configuration)
        self._check_expiry(configuration.storage)
        return _noticed(configuration, self.sections)

    # --- names and values ---

    def _check_names(self, name: str, section: Section) -> None:
        if self.kind == "client" and (name in settings.FREE or name.startswith(settings.PLUGIN_PREFIXES)):
            return
        folder = self.kind == "client" and name.startswith(settings.FOLDER_PREFIX)
        section_class = settings.Folder if folder else self.table.get(name)
        if section_class is None:
            raise ConfigurationError(
                f"{section.where}: '{section.file}' contains unknown section [{name}]{_nearest(name, self.table)}"
                + (" (this node is an introducer)" if self.kind == "introducer" and name in settings.CLIENT else "")
            )
        known = settings.options_of(section_class)
        for option, entry in section.options.items():
            if option not in known:
                nearest = _nearest(option, {each.name: None for _, each in known.values()})
                raise ConfigurationError(
                    f"{entry.where}: '{entry.file}' section [{name}] contains unknown option '{option}'{nearest}"
                )
            if known[option][1].ours and Path(entry.file).name == PEER_FILE:
                raise ConfigurationError(
                    f"{entry.where}: [{name}] {option} is a setting of lafs alone, and Tahoe-LAFS refuses to start"
                    f" on a {PEER_FILE} with it; write it into {OUR_FILE} beside it"
                )

    def _section(self, name: str, section_class: type) -> Any:
        known = settings.options_of(section_class)
        section = self.sections.get(name)
        fields = {}
        for written, entry in ({} if section is None else section.options).items():
            field_name, option = known[written]
            fields[field_name] = _parsed(option, name, entry)
        return section_class(**fields)

    def _free_section(self, name: str) -> dict[str, Any]:
        section = self.sections.get(name)
        if section is None or self.kind != "client":
            return {}
        options = {option: settings.Option(option, settings.FREE[name], None, "", False) for option in section.options}
        return {option: _parsed(options[option], name, entry) for option, entry in section.options.items()}

    # --- what must go together ---

    def _where(self, section: str, *options: str) -> str:
        """The place, for a message, of the first of `options` that is written; else of the section or directory."""
        found = self.sections.get(section)
        entries = [] if found is None else [found.options[option] for option in options if option in found.options]
        return entries[0].where if entries else found.where if found is not None else str(self.directory)

    def _encoding(self, client: settings.Client, folder_count: int) -> EncodingParameters:
        names = ("shares.needed", "shares.happy", "shares.total")
        section = self.sections.get("client")
        if folder_count and not (section and any(name in section.options for name in names)):
            return encoding_for_folders(folder_count)
        try:
            return EncodingParameters(client.needed, client.happy, client.total, client.segment_size)
        except ValueError as error:
            raise ConfigurationError(f"{self._where('client', *names)}: [client] {error}") from None

    def _check_listening(self, configuration: Configuration) -> None:
        node = configuration.node
        where = self._where("node", "tub.port", "tub.location")
        if node.tub_port == () and node.tub_location != ():
            raise ConfigurationError(f"{where}: tub.port is disabled, but not tub.location; disable both, or none")
        if node.tub_location == () and node.tub_port != ():
            raise ConfigurationError(f"{where}: tub.location is disabled, but not tub.port; disable both, or none")
        if configuration.listens:
            return
        wants = {
            "storage is enabled": configuration.serves_storage,
            "helper is enabled": configuration.helper.enabled,
            "we are Introducer": configuration.kind == "introducer",
        }
        for want, holds in wants.items():
            if holds:
                raise ConfigurationError(
                    f"{where}: config error: {want}, but tub is not listening ('tub.port=' is disabled);"
                    " give tub.port and tub.location, or switch it off"
                )

    def _check_privacy(self, configuration: Configuration) -> None:
        node, tcp = configuration.node, configuration.connections.tcp
        if not node.reveal_address:
            hints = node.tub_location or ("AUTO",) if configuration.listens else ()
            where = self._where("node", "reveal-ip-address")
            if tcp == "tcp":
                raise ConfigurationError(
                    f"{where}: Privacy requested with `reveal-IP-address = false` but `tcp = tcp` conflicts with this."
                )
            if "AUTO" in hints:
                raise ConfigurationError(f"{where}: Privacy requested, but tub.location uses AUTO")
            if any(not hint.startswith(("tor:", "i2p:")) for hint in hints):
                raise ConfigurationError(f"{where}: Privacy requested, but tub.location includes tcp: hint")
        # We have neither network yet: refusing is the only way not to leak what was meant to be hidden.
        if tcp in ("tor", "i2p"):
            where = self._where("connections", "tcp")
            raise ConfigurationError(f"{where}: [connections] tcp = {tcp}: this release of lafs cannot use it")
        for endpoint in node.tub_port or ():
            if endpoint.startswith("listen:"):
                where = self._where("node", "tub.port")
                raise ConfigurationError(f"{where}: {endpoint}: this release of lafs cannot use it")

    def _check_folders(self, configuration: Configuration) -> None:
        places: dict[Path, str] = {}
        for name, folder in configuration.folders.items():
            where = self._where(settings.FOLDER_PREFIX + name)
            if folder.directory is None:
                raise ConfigurationError(f"{where}: [storage:{name}] needs the option 'directory'")
            other = places.setdefault(configuration.path(folder.directory), name)
            if other != name:
                raise ConfigurationError(f"{where}: [storage:{name}] and [storage:{other}] are the same folder")

    def _check_expiry(self, storage: settings.Storage) -> None:
        where = self._where("storage", "expire.mode", "expire.enabled")
        if storage.expire and storage.expire_mode is None:
            raise ConfigurationError(f"{where}: [storage] expire.enabled needs expire.mode: age or cutoff-date")
        if storage.expire and storage.expire_mode == "cutoff-date" and storage.expire_cutoff is None:
            raise ConfigurationError(f"{where}: [storage] expire.mode = cutoff-date needs expire.cutoff_date")


def _noticed(configuration: Configuration, sections: Mapping[str, Section]) -> Configuration:
    return evolve(configuration, notices=tuple(_notices(configuration, sections)))


def _notices(configuration: Configuration, sections: Mapping[str, Section]) -> Iterator[str]:
    """What is asked for and not built; each starts with the option."""
    storage, client = configuration.storage, configuration.client
    asked: Mapping[str, object] = {
        "[helper] enabled: this release runs no upload helper": configuration.helper.enabled,
        "[client] helper.furl: this release uses no upload helper": client.helper,
        "[client] storage.plugins: this release has no storage plugins": client.plugins,
        "[storage] plugins: this release has no storage plugins": storage.plugins,
        "[storage] expire.enabled: this release deletes no expired shares": storage.expire,
        "[storage] debug_discard: not supported; shares are kept": storage.discard,
        "[storage] grid_management: this release announces no certificates": storage.grid_management,
        "[storage] anonymous = false: there is no other protocol; this storage server is not announced": (
            storage.enabled and not storage.anonymous
        ),
        "[node] log_gatherer.furl: this release sends its logs nowhere": configuration.node.log_gatherer,
        "[tor]: this release cannot use Tor": configuration.tor.enabled and "tor" in sections,
        "[i2p]: this release cannot use I2P": configuration.i2p.enabled and "i2p" in sections,
        "[client] key_generator.furl: has no effect; remove it": client.key_generator,
    }
    yield from (notice for notice, holds in asked.items() if holds)
