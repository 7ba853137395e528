"""The page of a directory, its rows for the script of that page, and the forms that change it. Spec: 07 §16.4, §16.6.

Each form is a page of its own, so that it works where no script runs; a script shows the same page as a dialog.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from frontends.web.answers import JSON, Answer, Reply, page
from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.listing_rows import PAGE_ROWS, Order, Row, rows_json, rows_of
from frontends.web.pages import KIND_NAMES
from frontends.web.places import Place
from frontends.web.request import Request
from frontends.web.targets import Target
from lafs.capability import Cap, DirectoryCap
from lafs.errors import LafsError
from lafs.interfaces import Listing

BLANK = Row("\ue000", "FILE", "file", None, None, None)
"""What the script of the page makes new rows from: it puts their names in place of this one, also in addresses."""

MOST_DESTINATIONS = 200


async def listing(gateway: Gateway, request: Request, target: Target) -> Reply:
    """The page of a directory. One that cannot be read has a page too, which says why."""
    cap = target.known
    found: Listing | None = None
    trouble = ""
    try:
        found = await gateway.files.open_directory(cap).list()
    except LafsError as error:
        trouble = gateway.explained(error)
    order = Order.parse(request.arguments.get("sort"))
    size = 0 if found is None else found.size
    number = _number(request.arguments.get("page"))
    shown = await gateway.workers.run_sized(size, _shown, found, order, number)
    place, at = Place.of(request), request.addresses
    return page(
        await gateway.workers.run(
            gateway.pages.render,
            "directory",
            at=at,
            place=place,
            here=place.directory_url,
            in_home=at.in_session,
            root_name="Files",
            nature=nature(cap),
            writable=not cap.is_readonly,
            rows=shown.rows,
            blank=BLANK,
            kind_names=KIND_NAMES,
            order=order,
            count=shown.count,
            number=shown.number,
            pages=shown.pages,
            left_out=0 if found is None else len(found.left_out),
            trouble=trouble,
            results=request.arguments.get("results"),
            default_format=gateway.default_format,
        )
    )


async def rows(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=rows`: all rows at once, for the script of the page."""
    found = await gateway.files.open_directory(target.known).list()
    return Answer(await gateway.workers.run_sized(found.size, rows_json, found), content_type=JSON)


def nature(cap: Cap) -> str:
    """What may be done with a directory, in a word."""
    if not cap.is_mutable:
        return "immutable"
    return "read-only" if cap.is_readonly else "modifiable"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1


class _Shown:
    """One page of rows."""

    def __init__(self, rows: Sequence[Row], number: int) -> None:
        self.count = len(rows)
        self.pages = max(1, -(-len(rows) // PAGE_ROWS))
        self.number = min(max(1, number), self.pages)
        self.rows = rows[(self.number - 1) * PAGE_ROWS : self.number * PAGE_ROWS]


def _shown(found: Listing | None, order: Order, number: int) -> _Shown:
    return _Shown([] if found is None else order.of(rows_of(found)), number)


# --- forms ----------------------------------------------------------------------------------------------------------------


async def rename_form(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=rename-form`: gives a child another name."""
    return _form(gateway, request, "Rename", "rename_fields.html", name=_wanted_name(request))


async def delete_form(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=delete-form`: asks once more before a child is taken out."""
    name = _wanted_name(request)
    child = await gateway.files.open_directory(target.known).get(name)
    return _form(gateway, request, "Delete?", "delete_fields.html", name=name, is_directory=child.kind == "directory")


async def mkdir_form(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=mkdir-form`: makes a directory."""
    return _form(gateway, request, "New folder", "mkdir_fields.html", default_format=gateway.default_format)


async def link_form(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=link-form`: adds what a cap names."""
    return _form(gateway, request, "Add what a cap names", "link_fields.html")


async def move_form(gateway: Gateway, request: Request, target: Target) -> Reply:
    """`t=move-form`: moves a child to another directory below the same root, or to one whose cap is known."""
    name = _wanted_name(request)
    place = Place.of(request)
    found = await gateway.files.open_directory(target.known).list()
    below = [child.name for child in found.children.values() if _takes_children(child.cap) and child.name != name]
    destinations = ["/" + "/".join(step.path) for step in place.trail[:-1]]
    destinations += ["/" + "/".join((*place.path, each)) for each in below[:MOST_DESTINATIONS] if "/" not in each]
    return _form(gateway, request, "Move", "move_fields.html", name=name, destinations=destinations)


def _takes_children(cap: Cap | None) -> bool:
    return isinstance(cap, DirectoryCap) and not cap.is_readonly


def _wanted_name(request: Request) -> str:
    name = request.arguments.get("name")
    if not name:
        raise Refusal(400, "This form needs the name= of what it is about.")
    return name


def _form(gateway: Gateway, request: Request, title: str, template: str, **values: object) -> Reply:
    place = Place.of(request)
    markup = gateway.pages.render(
        "form", at=request.addresses, place=place, here=place.directory_url, title=title, form=template, **values
    )
    return page(markup)


FORMS: Mapping[str, Callable[[Gateway, Request, Target], Awaitable[Reply]]] = {
    "rename-form": rename_form,
    "delete-form": delete_form,
    "move-form": move_form,
    "mkdir-form": mkdir_form,
    "link-form": link_form,
}
"""By the argument `t`."""
