"""Who may ask, and what a browser may do with the answer.

A browser is a confused deputy: any page on the web can make it send requests to this gateway, and a name of the attacker's can be
made to point at it (DNS rebinding). So every request must name the gateway by a name that is ours, and one that changes something
must not come from a page of another site. Programs that send none of these headers are not affected.

The headers say that a page of the gateway runs no script but the gateway's own, that a stored file is shown in a sandbox which
cannot reach the gateway with the user's authority, and that no URL (they hold caps) is passed on. Spec: 07 §1, §18.
"""
from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from attrs import frozen

from frontends.web.content_labels import NOWHERE, ContentHost, ContentHosts
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
    b"Cross-Origin-Opener-Policy: same-origin\r\n"
)
"""Headers of every answer, whatever it is. (Where a policy names frame-ancestors, browsers heed that, not X-Frame-Options.)"""

PLAIN_POLICY = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of every answer that is neither a page nor the contents of a file."""


def page_policy(page_origin: str, content_host: ContentHost) -> bytes:
    """The Content-Security-Policy of our own pages: they use the gateway's own files, and contents from their own origin."""
    # Not just 'self': a stored file may be a script too, and has an address on this origin.
    scripts, styles = (f"{page_origin}/{each}/" if _NAMEABLE.fullmatch(page_origin) else "'self'" for each in ("js", "css"))
    shown = " ".join(filter(None, ("'self'", content_host.source)))
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src {shown} data:; media-src {shown}; "
        f"frame-src {shown}; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ).encode("ascii")


_NAMEABLE = re.compile(r"https?://[a-z0-9.-]+(:\d+)?")
"""Origins that a policy can name: no IPv6 addresses."""

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


@frozen
class Admission:
    """A request that was let in, and for what place."""

    label: str | None
    """Of the contents that it is for; None if it is for the gateway itself."""
    content_host: ContentHost
    """Where a page that answers it finds contents."""
    origin: str
    """The gateway's own, as the browser knows it."""


class Guard:
    """Admits requests. `allowed_hosts` are further names (without port) by which this gateway is known."""

    def __init__(self, allowed_hosts: Iterable[str] = (), content_host: str = "") -> None:
        self._names = LOCAL_NAMES | {normal_name(name) for name in allowed_hosts}
        self._content = ContentHosts(content_host)
        self._known_good: set[tuple[bytes, str]] = set()  # the few (Host, local address) pairs that keep coming

    def admit(
        self,
        method: str,
        hosts: Sequence[bytes],
        origins: Sequence[bytes],
        fetch_sites: Sequence[bytes],
        local_address: str,
        secure: bool,
        user_agent: str = "",
    ) -> Admission:
        """Let a request in. Raises Refusal for a foreign Host, and for a write that another site's page sends."""
        host = hosts[0].decode("latin-1") if hosts else ""
        name = host_name(host)
        label = self._content.label_in(name) if name is not None and len(hosts) == 1 and name not in self._names else None
        if label is not None:
            return Admission(label, NOWHERE, "")
        for each in hosts:
            if (each, local_address) not in self._known_good:
                self._check_host(each, local_address)
        if method not in SAFE_METHODS and not from_own_page(origins, fetch_sites, hosts, secure):
            raise Refusal(403, "This request comes from a page of another site, so it may not change anything here.")
        if not host:
            return Admission(None, NOWHERE, "")
        place = self._content.for_page(host, secure, name is not None and _is_loopback(name), user_agent)
        return Admission(None, place, f"{'https' if secure else 'http'}://{host.lower()}")

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


def from_own_page(origins: Sequence[bytes], fetch_sites: Sequence[bytes], hosts: Sequence[bytes], secure: bool) -> bool:
    """Whether no header says that a page of another site makes the browser send this. Programs send none of these headers."""
    if fetch_sites:
        return all(site.decode("latin-1") in SAME_SITE for site in fetch_sites)
    return all(_is_own(origin, hosts, secure) for origin in origins)


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _is_own(origin: bytes, hosts: Sequence[bytes], secure: bool) -> bool:
    """Whether `origin` is the place that the request was sent to. Behind a proxy the scheme may differ, the host may not."""
    scheme, separator, authority = origin.partition(b"://")
    if not separator or scheme not in ((b"https",) if secure else (b"http", b"https")):
        return False
    return bool(hosts) and all(authority.lower() == host.lower() for host in hosts)


_CODE = frozenset({"script", "worker", "sharedworker", "serviceworker", "audioworklet", "paintworklet", "xslt"})
"""Values of Sec-Fetch-Dest for what a page is going to run."""


def refuse_as_code(destinations: Iterable[str]) -> None:
    """Raise Refusal if a page asks for a stored file as a script: what somebody stored is never part of a page of ours."""
    if any(destination in _CODE for destination in destinations):
        raise Refusal(403, "A stored file is not run as a script.")
