"""Stored files on an origin of their own: what answers at `http://LABEL.localhost:PORT/NAME`.

What somebody stored is shown to a browser under a host name that holds nothing else: no page of this gateway, no API, no cookie,
not even another file. Where such names do not lead here (a gateway with a name of its own and no `web.content_host`), the same
label is a path of the gateway, `/content/LABEL/NAME`, and the sandbox of the answer is what keeps the two apart. Called by
`site`. Spec: 07 §18.
"""
from __future__ import annotations

from urllib.parse import unquote_to_bytes

from attrs import evolve

from frontends.web.answers import Answer, Contents, Reply, redirect
from frontends.web.content_labels import Shown
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.objects import contents
from frontends.web.request import Arguments, Request
from frontends.web.targets import Target

READING = ("GET", "HEAD")

_NOT_HERE = "There is nothing here, or no longer. Reload the page that led here."


async def answer(gateway: Gateway, request: Request, label: str) -> Reply:
    """Whatever is asked of a content host. Its one path is the name of its one file. Raises Refusal."""
    name = unquote_to_bytes(request.exchange.target.partition(b"?")[0][1:])
    return await _shown(gateway, request, label, name)


async def under_path(gateway: Gateway, request: Request) -> Reply:
    """`/content/LABEL/NAME`."""
    if len(request.segments) != 2:
        raise Refusal(404, _NOT_HERE)
    label, name = request.segments
    return await _shown(gateway, request, label.decode("latin-1"), name)


async def _shown(gateway: Gateway, request: Request, label: str, name: bytes) -> Reply:
    if request.method not in READING:
        raise Refusal(405, "Contents can only be read here.", ((b"Allow", b"GET, HEAD"),))
    shown = gateway.labels.find(label)
    if shown is None or name != shown.name.encode("utf-8", "surrogateescape"):
        raise Refusal(404, _NOT_HERE)
    asked = Arguments({"filename": shown.name, **({"save": "true"} if shown.save else {})})
    return _framed(await contents(gateway, evolve(request, arguments=asked), Target(shown.cap, shown.name)), shown)


def _framed(reply: Reply, shown: Shown) -> Reply:
    """`reply`, so that the page which led here, and no other, may show it in a frame of its own."""

    def framed(policy: bytes) -> bytes:
        return policy.replace(b"frame-ancestors 'none'", b"frame-ancestors " + shown.page_origin.encode("ascii"))

    if not shown.page_origin:
        return reply
    if isinstance(reply, Answer):  # not modified: its headers are put over those that came with the contents
        return evolve(reply, policy=framed(reply.policy or b""))
    if isinstance(reply, Contents):
        headers = ((name, framed(value) if name == b"Content-Security-Policy" else value) for name, value in reply.headers)
        return evolve(reply, headers=tuple(headers))
    return reply


# --- the way there --------------------------------------------------------------------------------------------------------


async def lead_to(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=content` of a file: where its contents can be shown (or, `save=true`, saved) safely."""
    name = request.arguments.get("filename") or target.name or "file"
    return redirect(request.addresses.content(target.known, name, request.arguments.flag("save")))


async def enter(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=enter`: to an object under an address of its own; `readonly=true`: to what only reads it."""
    cap = target.known
    if request.arguments.flag("readonly"):
        cap = cap.readonly() or cap
    return redirect(request.addresses.of(cap))
