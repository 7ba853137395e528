"""Where the links and forms of a page lead. A page never knows whether it was reached by a cap or, in a session, by a handle.

Every request has one (`Request.addresses`), and hands it to its template. All addresses are relative to the page, so that the
gateway may stand behind a proxy that adds a prefix; only the contents of files may have an origin of their own. Spec: 07 §16,
§18.
"""
from __future__ import annotations

from attrs import field, frozen

from frontends.web.answers import quoted
from frontends.web.content_labels import NOWHERE, ContentHost, ContentLabels
from frontends.web.sessions import Session, Sessions
from lafs.capability import Cap, DirectoryCap


@frozen
class Visit:
    """Who asks, and how the gateway looks from there."""

    sessions: Sessions = field(repr=False)
    labels: ContentLabels = field(repr=False)
    session: Session | None = field(default=None, repr=False)
    content_host: ContentHost = NOWHERE
    page_origin: str = ""
    """Scheme, host and port by which the browser knows this gateway."""


@frozen
class Addresses:
    """Addresses as seen from one page."""

    base: str
    """From the page to the root: "../" for each directory that its path lies in."""
    root: str = field(repr=False)
    """What the path of the page begins with: "h/HANDLE" or "uri/CAP"; "" if it is about no object."""
    visit: Visit = field(repr=False)

    @property
    def in_session(self) -> bool:
        return self.visit.session is not None

    @property
    def form_token(self) -> str:
        """For the hidden field `form_token` of each form; "" without a session."""
        return "" if self.visit.session is None else self.visit.session.form_token

    @property
    def unlinked(self) -> str:
        """Where new files and directories are made that nothing leads to yet, and pasted caps are opened."""
        return self.base + ("h" if self.in_session else "uri")

    @property
    def home(self) -> str:
        """The directory that the user of the session begins with; "" if there is none."""
        session = self.visit.session
        return "" if session is None or session.home is None else self.of(session.home)

    def of(self, cap: Cap) -> str:
        """The address of an object. In a session that takes a handle, so it is for few objects, not for each row of a listing."""
        end = "/" if isinstance(cap, DirectoryCap) else ""
        return f"{self.base}{root_of(cap, self.visit)}{end}"

    def content(self, cap: Cap, name: str, save: bool = False) -> str:
        """The URL under which a browser may show (or save) the contents of a file as `name`."""
        visit = self.visit
        key = b"" if visit.session is None else visit.session.key
        label = visit.labels.label_for(cap, name, save, key, visit.page_origin)
        return visit.content_host.address(label, name, self.base)


def root_of(cap: Cap, visit: Visit) -> str:
    """What the path of `cap` begins with: "h/HANDLE" in a session, "uri/CAP" without one."""
    if visit.session is None:
        return f"uri/{quoted(cap.text)}"
    return f"h/{visit.sessions.handle_for(visit.session, cap)}"
