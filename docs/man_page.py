"""Writes the manual page lafs(1) from the commands themselves: `make docs`. A test sees to it that nothing is missing."""
from __future__ import annotations

from collections.abc import Iterator

import click

from lafs import __version__
from lafs.cli.main import COMMANDS, main

INTRODUCTION = r"""
.SH DESCRIPTION
A grid is a number of storage servers. A file is encrypted on your machine, cut into coded shares, and spread over the servers;
some of them suffice to get it back, and none can read it.
.P
What is stored is named by a
.I capability
("cap"), a text that begins with URI:. Whoever holds it can read the file; without it nobody can. Keep it as you would keep the
file.
.P
.B lafs up
starts a grid of your own on one machine, with a web page. Commands for files speak to the web gateway of a running node.
"""

TAIL = r"""
.SH EXIT STATUS
.TP
.B 0
Success.
.TP
.B 1
Failure; standard error says why in one line. Also for mistakes in the command itself.
.TP
.B 2
.B lafs status
found no gateway.
.TP
.B 130
Interrupted.
.SH ENVIRONMENT
.TP
.B LAFS_TRACEBACK
If set, an error shows where in the program it happened. The text may contain caps.
.SH FILES
.TP
.I ~/.lafs
The node directory, if
.B \-d
names no other. If there is none, but a
.I ~/.tahoe
of Tahoe-LAFS, that is used.
.TP
.I DIR/node.url
The address of the running node's web gateway.
.TP
.I FILE.part\fR, \fIFILE.part.json
A download that has not ended, and of what file it is a part (by a hash, never by its cap). The same
.B lafs get
continues it, after fetching its last 64 KiB again and comparing them.
.SH EXAMPLES
.nf
$ lafs up
$ cap=$(lafs put holiday.jpg)
$ lafs get "$cap" copy.jpg
$ tar c photos | lafs put
$ lafs get http://127.0.0.1:3456/file/URI%3ACHK%3A.../@@named=/holiday.jpg holiday.jpg
.fi
"""


def escape(text: str) -> str:
    r"""Text for roff: hyphens that are minus signs, backslashes, and dots that would begin a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in text.splitlines())


def options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            yield f".TP\n.B {escape(record[0])}\n{escape(record[1])}"


def paragraphs(text: str) -> Iterator[str]:
    """The help text of a command; a paragraph that begins with \\b keeps its lines."""
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b"):
            yield f".P\n.nf\n{escape(paragraph[1:].strip())}\n.fi"
        else:
            yield f".P\n{escape(' '.join(paragraph.split()))}"


def page() -> Iterator[str]:
    root = click.Context(main, info_name="lafs", help_option_names=["-h", "--help"])
    yield f'.TH LAFS 1 "" "lafs {__version__}" "User Commands"'
    yield ".SH NAME\nlafs \\- store files on a grid of servers that cannot read them"
    yield ".SH SYNOPSIS\n.B lafs\n[\\fIoptions\\fR] \\fIcommand\\fR [\\fIargument\\fR ...]"
    yield INTRODUCTION.strip()
    yield ".P\nOptions may stand before or after the arguments of a command; long ones may be shortened while they are unique."
    yield ".SH OPTIONS"
    yield from options(main, root)
    yield ".SH COMMANDS"
    for name, row in COMMANDS.items():
        command = row.load()
        context = click.Context(command, info_name=name, parent=root)
        yield f".SS lafs {escape(' '.join([name, *command.collect_usage_pieces(context)]))}"
        yield from paragraphs(command.help or "")
        yield from options(command, context)
    yield TAIL.strip()


if __name__ == "__main__":
    print("\n".join(page()))
