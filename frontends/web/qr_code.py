"""A text as a QR code, drawn in SVG for the share dialog: a telephone reads a cap off the screen."""
from __future__ import annotations

from urllib.parse import quote

LONGEST = 1000
"""Characters. More make a code so dense that cameras fail on it."""

_QUIET = 4
"""Modules of white around it, as the standard wants."""


def qr_code(text: str) -> str | None:
    """A `data:` URL of the picture; None for a text that is too long for one."""
    if len(text) > LONGEST:
        return None
    import qrcode  # slow to import, and few people need it

    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_L, border=_QUIET)
    code.add_data(text)
    code.make(fit=True)
    matrix = code.get_matrix()
    return "data:image/svg+xml," + quote(_drawn(matrix), safe="/:=' ,")


def _drawn(matrix: list[list[bool]]) -> str:
    size = len(matrix)
    runs = []
    for y, row in enumerate(matrix):
        x = 0
        while x < size:
            length = 0
            while x + length < size and row[x + length]:
                length += 1
            if length:
                runs.append(f"M{x} {y}h{length}v1h-{length}z")
            x += length + 1
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {size} {size}' shape-rendering='crispEdges'>"
        f"<rect width='{size}' height='{size}' fill='white'/><path d='{''.join(runs)}'/></svg>"
    )
