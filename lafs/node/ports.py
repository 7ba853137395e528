"""Ports and places: which port is free, where this machine can be found, and listening so that a failure is told.

Used by `services` to listen and by `creation` to choose. Spec: 05 §16.1, 08 §21.1.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Sequence
from random import randrange
from typing import Any

from lafs.errors import ConfigurationError, NodeError

LOOPBACK = "127.0.0.1"
_LOOPBACK_6 = r"\:\:1"

_KEPT_PORTS = (10_000, 32_768)
"""Above those of well-known services, below those of outgoing connections."""

_GET_INTERFACE_ADDRESS = 0x8915
"""SIOCGIFADDR of Linux."""


def free_port() -> int:
    """A TCP port nobody listens on now, to be kept for ever.

    Not one the system would choose: those it also gives to outgoing connections, and one of them may be in the way at
    the next start.
    """
    for _ in range(100):
        port = randrange(*_KEPT_PORTS)
        if is_free(port, ""):
            return port
    raise NodeError("no free TCP port could be found")


def is_free(port: int, interface: str = LOOPBACK) -> bool:
    """Whether `port` of `interface` could be listened on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((interface, port))
        except OSError:
            return False
    return True


def local_addresses() -> Sequence[str]:
    """The IPv4 addresses of this machine: those others may reach first, loopback last."""
    found = {address for _, name in socket.if_nameindex() if (address := _address_of_interface(name))}
    if not found and (address := _address_towards_the_world()):
        found.add(address)
    return sorted(found | {LOOPBACK}, key=lambda address: (address.startswith("127."), address))


def _address_of_interface(name: str) -> str | None:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            told = fcntl.ioctl(probe.fileno(), _GET_INTERFACE_ADDRESS, struct.pack("256s", name.encode()[:15]))
        except OSError:
            return None
    return socket.inet_ntoa(told[20:24])


def _address_towards_the_world() -> str | None:
    """The address this machine would send from; nothing is sent. For systems without the ioctl above."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def port_of(endpoint: str) -> int | None:
    """The port number in a `tcp:` or `tcp6:` endpoint string; None for other kinds."""
    kind, _, rest = endpoint.partition(":")
    number = rest.partition(":")[0].removeprefix("port=")
    return int(number) if kind in ("tcp", "tcp6") and number.isdecimal() else None


def hints(location: Sequence[str] | None, endpoints: Sequence[str]) -> Sequence[str]:
    """The connection hints to publish; `AUTO`, or no location at all, stands for every address of this machine.

    Raises ConfigurationError if AUTO cannot know the port.
    """
    expanded: list[str] = []
    for hint in location or ("AUTO",):
        if hint != "AUTO":
            expanded.append(hint)
            continue
        port = port_of(endpoints[0]) if len(endpoints) == 1 else None
        if port is None:
            raise ConfigurationError("[node] tub.location = AUTO needs one tub.port of kind tcp, such as tcp:3457")
        expanded.extend(f"tcp:{address}:{port}" for address in local_addresses())
    return tuple(dict.fromkeys(expanded))


def on_loopback(endpoint: str) -> str:
    """`endpoint`, bound to loopback unless it says which interface it wants."""
    kind, _, _ = endpoint.partition(":")
    if kind not in ("tcp", "tcp6", "ssl") or "interface=" in endpoint:
        return endpoint
    return f"{endpoint}:interface={_LOOPBACK_6 if kind == 'tcp6' else LOOPBACK}"


def server_endpoint(reactor: Any, option: str, text: str) -> Any:
    """The IStreamServerEndpoint that `text`, the value of `option`, describes. Raises ConfigurationError."""
    from twisted.internet.endpoints import serverFromString

    try:
        return serverFromString(reactor, text)  # type: ignore[no-untyped-call]
    except Exception:  # the parsers of endpoint kinds, plugins among them, raise what they like
        raise ConfigurationError(f"[node] {option}: {text!r} is not an endpoint such as tcp:3456") from None


async def bound(listening: Awaitable[Any], option: str, text: str) -> Any:
    """The IListeningPort that `listening` yields. Raises NodeError saying which option could not be had, and why."""
    try:
        return await listening
    except Exception as error:  # one class for each kind of endpoint
        reason = getattr(getattr(error, "socketError", error), "strerror", None) or type(error).__name__
        raise NodeError(f"cannot listen on {text} ([node] {option}): {reason}; stop what uses it, or choose another") from None
