"""`lafs recovery`: how to save a root directory's capability, so that nobody loses a filesystem with a laptop."""
from __future__ import annotations

import sys

import click

from lafs.cli.aliases import DEFAULT, Aliases
from lafs.cli.invocation import Invocation, pass_invocation


@click.command("recovery", short_help="Show how to save a directory's capability.")
@click.argument("alias", metavar="[ALIAS[:]]", required=False, default=DEFAULT)
@click.option("--qr", is_flag=True, help="Show the capability as a QR code too, to be read by a telephone.")
@pass_invocation
def recovery(invocation: Invocation, alias: str, qr: bool) -> None:
    """Print the capability of an alias's directory, to be kept in a safe place.

    Whoever has it has everything in the directory; without it, and without this machine, nobody has.
    """
    cap = Aliases(invocation).locate(f"{alias.removesuffix(':')}:").cap
    assert cap is not None
    if qr:
        import qrcode  # nobody else pays for it

        code = qrcode.QRCode(border=2)
        code.add_data(cap)
        code.print_ascii(out=sys.stdout, invert=True)
    click.echo(cap)
    invocation.say(
        "Write this down or print it, and keep it where a stranger does not look: whoever has it can read and change all\n"
        "files below it, and without it nobody can. On another machine of the same grid: lafs add-alias "
        f"{alias.removesuffix(':')} -"
    )
