"""Writes the tables of docs/configuration.md from the schema that reads the files (lafs/node/settings.py): `make docs`."""
from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from lafs.node import settings, values
from lafs.node.settings import Option

BEGIN = "<!-- made by configuration_tables.py: begin -->\n"
END = "<!-- made by configuration_tables.py: end -->\n"

SECTIONS = {
    "node": "every node", "connections": "every node", "client": "clients", "storage": "clients", "storage:NAME": "clients",
    "sftpd": "clients", "ftpd": "clients", "helper": "clients", "tor": "every node", "i2p": "every node",
}

PLAIN = {
    values.text: "text", values.boolean: "true, false", values.path: "path", values.size: "size", values.reserve: "size",
    values.duration: "duration", values.date: "YYYY-MM-DD", values.furl: "FURL", values.names: "list",
    values.tub_port: "endpoints, or `disabled`", values.tub_location: "hints, or `disabled`",
    values.endpoint_text: "endpoint", values.port_range: "FIRST-LAST", values.ipv4_address: "IPv4 address",
    values.content_host: "host name, or `none`",
}


def kind(parse: Callable[[str], object]) -> str:
    """What may be written, in a few words. The parsers that are made of others keep what they were made of in their closure."""
    if parse in PLAIN:
        return PLAIN[parse]
    made_of = inspect.getclosurevars(parse).nonlocals
    if "names" in made_of:
        return ", ".join(made_of["names"])
    if "least" in made_of:
        return f"{made_of['least']} to {made_of['most']}"
    return kind(made_of["parse"]) + ", or empty"


def absent(option: Option) -> str:
    """What holds when the option is not written."""
    match option.default:
        case None | () | "":
            return "-"
        case bool(value):
            return str(value).lower()
        case value:
            return f"`{value}`" if isinstance(value, str) else str(value)


def tables() -> Iterator[str]:
    for name, who in SECTIONS.items():
        section = settings.Folder if name == "storage:NAME" else settings.CLIENT[name]
        yield f"### `[{name}]` ({who})\n"
        yield "| option | value | default | what it does |"
        yield "|---|---|---|---|"
        for _, option in settings.options_of(section).values():
            ours = " *(lafs only)*" if option.ours else ""
            yield f"| `{option.name}` | {kind(option.parse)} | {absent(option)} | {option.says}{ours} |"
        yield ""


def main(path: Path) -> None:
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(before + BEGIN + "\n" + "\n".join(tables()) + END + after, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
