"""Names of things in messages: in quotes, and without what would do something to a terminal. Pure. Spec: 08 §4.2."""
from __future__ import annotations

import re

UNSAFE = re.compile(r"[^\n\x20-\x26\x28-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffc]")
ESCAPED = re.compile(r"[^\n\x20\x21\x23\x25-\x5b\x5d-\x5f\x61-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffc]")


def quoted(text: str, marks: bool = True, encoding: str = "utf-8") -> str:
    """`text` in quotes, single ones if nothing in it needs care. Without `marks`, plain text stays bare."""
    try:
        text.encode(encoding)
        plain = not UNSAFE.search(text) and not (marks and "\n" in text)
    except UnicodeEncodeError:
        plain = False
    if plain:
        return f"'{text}'" if marks or text.startswith('"') else text
    escaped = ESCAPED.sub(lambda match: escape(match[0]), text)
    if marks:
        escaped = escaped.replace("\n", "\\x0a")
    return f'"{escaped.encode(encoding, "backslashreplace").decode(encoding)}"'


def escape(character: str) -> str:
    number = ord(character)
    if character in '"$`\\':
        return "\\" + character
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
