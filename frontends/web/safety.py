"""Who may ask, and what a browser may do with the answer.

A browser is a confused deputy: any page on the web can make it send requests to this gateway, and a name of the attacker's can be
made to point at it (DNS rebinding). So every request must name the gateway by a name that is ours, and one that changes something
must not come from a page of another site. Programs that send none of these headers are not affected.

The headers say that a page of the gateway runs no script, that a stored file is shown in a sandbox which cannot reach the gateway
with the user's authority, and that no URL (they hold caps) is passed on. Spec: 07 §1, §18.
"""
from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from frontends.web.errors import Refusal

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

SAFE_METHODS = frozenset({"GET", "HEAD"})

SAME_SITE = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site for our own pages, and for what the user typed. "same-site" is another port of this machine."""

ALWAYS = (
    b"Server: lafs\r\n"
    b"X-Frame-Options: DENY\r\n"
    b"Referrer-Policy: no-referrer\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
)
"""Headers of every answer, whatever it is."""

PAGE_POLICY = b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of our own pages, and of every answer that is not the contents of a file."""

STORED_POLICY = (
    b"sandbox; default-src 'none'; img-src 'self' data:; media-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    b"font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of stored files: they may be beautiful, but run nothing, send nothing and have no origin."""

DOCUMENT_POLICY = b"default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'"
"""Of stored PDF: browsers show it with a viewer of their own, which cannot act as this origin, and does not start in a sandbox."""


def policy_for(content_type: str) -> bytes:
    """The Content-Security-Policy for a stored file served as `content_type`."""
    return DOCUMENT_POLICY if content_type == "application/pdf" else STORED_POLICY


class Guard:
    """Admits requests. `allowed_hosts` are further names (without port) by which this gateway is known."""

    def __init__(self, allowed_hosts: Iterable[str] = ()) -> None:
        self._names = LOCAL_NAMES | {normal_name(name) for name in allowed_hosts}
        self._known_good: set[tuple[bytes, str]] = set()  # the few (Host, local address) pairs that keep coming

    def admit(
        self,
        method: str,
        hosts: Sequence[bytes],
        origins: Sequence[bytes],
        fetch_sites: Sequence[bytes],
        local_address: str,
        secure: bool,
    ) -> None:
        """Raise Refusal for a foreign Host, and for a write that another site's page sends."""
        for host in hosts:
            if (host, local_address) not in self._known_good:
                self._check_host(host, local_address)
        if method in SAFE_METHODS:
            return
        if fetch_sites:
            if any(site.decode("latin-1") not in SAME_SITE for site in fetch_sites):
                raise Refusal(403, "This request comes from a page of another site, so it may not change anything here.")
        elif origins and not all(_is_own(origin, hosts, secure) for origin in origins):
            raise Refusal(403, "This request comes from a page of another site, so it may not change anything here.")

    def _check_host(self, host: bytes, local_address: str) -> None:
        name = host_name(host.decode("latin-1"))
        if name is None or (name not in self._names and name != normal_name(local_address)):
            raise Refusal(
                403,
                "This gateway does not go by the name in the request. Use localhost, or have the name added to web.hosts.",
            )
        if len(self._known_good) < 100:
            self._known_good.add((host, local_address))


def host_name(host: str) -> str | None:
    """The name in a Host header (or the authority of an Origin), without its port, in one spelling. None if malformed."""
    name, port = host, ""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return None
        port = port[1:]
    elif ":" in host:
        name, _, port = host.partition(":")
    if not name or (port and not (port.isascii() and port.isdigit())):
        return None
    return normal_name(name)


def normal_name(name: str) -> str:
    """One spelling for each host: lower case, no final dot, addresses as Python prints them (mapped IPv4 as IPv4)."""
    name = name.strip("[]").lower().removesuffix(".")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def _is_own(origin: bytes, hosts: Sequence[bytes], secure: bool) -> bool:
    """Whether `origin` is the place that the request was sent to. Behind a proxy the scheme may differ, the host may not."""
    scheme, separator, authority = origin.partition(b"://")
    if not separator or scheme not in ((b"https",) if secure else (b"http", b"https")):
        return False
    return bool(hosts) and all(authority.lower() == host.lower() for host in hosts)
