"""What the tree does not allow, by the reasons that clients know. Each front end maps them to codes of its own. Spec: 09 §13."""
from __future__ import annotations

from typing import Literal

from lafs.errors import LafsError

Reason = Literal["missing", "permission", "exists", "failure", "bad"]


class Refused(LafsError):
    """An operation that the rules of the tree do not allow. The message may be shown to the user."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
