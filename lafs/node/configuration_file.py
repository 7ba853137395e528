"""The language of tahoe.cfg and lafs.cfg: sections and options as text, each with the line it stands on.

Pure: bytes in, entries out. The grammar is that of Python's `configparser` (the peer's own reader), so both programs
see the same values; on top, every option remembers its line, which an error message needs. Also the one way to change a
file of ours in place without losing its owner's comments. Called by `config` and by what makes nodes. Spec: 08 §19.
"""

from __future__ import annotations

import configparser
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import field, frozen

from lafs.errors import ConfigurationError

LARGEST_FILE = 1024 * 1024
"""No configuration is longer; what is, is another file."""

_DEFAULT = configparser.DEFAULTSECT


@frozen
class Entry:
    """One option as written: its text (interpolated), and where it stands, for messages."""

    value: str = field(repr=False)
    file: str
    line: int

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


@frozen
class Section:
    """One section: the place of its first header, and its options by lower-cased name."""

    file: str
    line: int
    options: Mapping[str, Entry]

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


class _Position:
    """The line now being read, and the lines on which sections and options were seen."""

    def __init__(self) -> None:
        self.line = 0
        self.sections: dict[str, int] = {}
        self.options: dict[tuple[str, str], int] = {}

    def lines(self, text: str) -> Iterator[str]:
        for self.line, line in enumerate(io.StringIO(text, newline=None), start=1):
            yield line


class _Numbered(dict[str, Any]):
    """What `configparser` fills: while it reads, options arrive as lists of lines, sections as dictionaries."""

    def __init__(self, position: _Position) -> None:
        super().__init__()
        self._position = position
        self._section = _DEFAULT

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        if isinstance(value, _Numbered):
            value._section = key
            self._position.sections.setdefault(key, self._position.line)
        elif isinstance(value, list):
            self._position.options[self._section, key] = self._position.line


def parse(file: str, data: bytes) -> Mapping[str, Section]:
    """The sections in `data`, the contents of `file` (a name for messages). Raises ConfigurationError, nothing else."""
    if len(data) > LARGEST_FILE:
        raise ConfigurationError(f"{file}: larger than {LARGEST_FILE} bytes: not a configuration file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}:{line}: not UTF-8 text; save the file as UTF-8") from None
    position = _Position()
    parser = configparser.ConfigParser(strict=False, dict_type=lambda: _Numbered(position))  # type: ignore[call-overload]
    try:
        parser.read_file(position.lines(text), file)
    except configparser.MissingSectionHeaderError as error:
        raise ConfigurationError(f"{file}:{error.lineno}: text before the first [section]") from None
    except configparser.ParsingError as error:
        line = error.errors[0][0] if error.errors else position.line
        raise ConfigurationError(f"{file}:{line}: not 'option = value', a [section] or a comment") from None
    except (configparser.Error, ValueError, AttributeError):
        raise ConfigurationError(f"{file}:{position.line}: cannot be read as 'option = value'") from None
    return {name: _section(parser, name, file, position) for name in parser.sections()}


def _section(parser: configparser.ConfigParser, name: str, file: str, position: _Position) -> Section:
    options = {}
    for option in parser.options(name):
        line = position.options.get((name, option)) or position.options.get((_DEFAULT, option), 0)
        try:
            value = parser.get(name, option)
        except configparser.InterpolationError:
            raise ConfigurationError(
                f"{file}:{line}: [{name}] {option}: a percent sign must be doubled (50%%),"
                " or name another option of the section: %(name)s"
            ) from None
        options[option] = Entry(value, file, line)
    return Section(file, position.sections.get(name, 0), options)


# --- writing --------------------------------------------------------------------------------------------------------------


def escaped(value: str) -> str:
    """`value` as it must be written: percent signs doubled. Raises ConfigurationError if it is not one line."""
    if any(ord(character) < 32 or character in "\x7f\x85\u2028\u2029" for character in value):
        raise ConfigurationError("a configuration value cannot hold line breaks or control characters")
    return value.replace("%", "%%")


def with_option(text: str, section: str, option: str, value: str) -> str:
    """`text` with `[section] option = value`: replaced where it stands, else heading the section or a new one.

    Every other line, comments too, stays as it is.
    """
    line = f"{option} = {escaped(value)}".rstrip() + "\n"
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    header = None
    current = None
    for index, existing in enumerate(lines):
        if found := re.match(r"\[(.+)\]", existing):
            current = found.group(1)
            header = index if current == section and header is None else header
        elif current == section and re.match(rf"{re.escape(option)}\s*[=:]", existing, re.IGNORECASE):
            end = index + 1
            while end < len(lines) and re.match(r"[ \t]+\S", lines[end]):
                end += 1
            return "".join([*lines[:index], line, *lines[end:]])
    if header is not None:
        return "".join([*lines[: header + 1], line, *lines[header + 1 :]])
    gap = ["\n"] if lines else []
    return "".join([*lines, *gap, f"[{section}]\n", line])
