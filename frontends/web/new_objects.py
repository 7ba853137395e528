"""Files and directories that are made on request, before anything leads to them. Spec: 07 §4, §5."""
from __future__ import annotations

from collections.abc import Iterable

from attrs import field, frozen

from frontends.web.errors import Refusal
from frontends.web.gateway import Gateway
from frontends.web.request import Arguments, FileFormat, Request
from frontends.web.uploads import upload
from lafs.capability import Cap, DirectoryCap, MutableFormat, MutableWriteCap
from lafs.crypto.rsa import PrivateKey
from lafs.errors import UncoordinatedWrite, UnrecoverableFile
from lafs.interfaces import NewChild, Source


@frozen
class NewFile:
    """How a new file is to be made."""

    format: FileFormat = "CHK"
    private_key: PrivateKey | None = field(default=None, repr=False)

    @classmethod
    def asked_for(cls, arguments: Arguments) -> NewFile:
        """Raises Refusal."""
        file_format = arguments.file_format()
        return cls(file_format, None if file_format == "CHK" else arguments.private_key())

    async def all_arguments(self, request: Request) -> Arguments:
        """The arguments of `request` and, its file being stored, those in fields behind it.

        Raises Refusal if they say that the file should have been stored otherwise.
        """
        if request.form is None:
            return request.arguments
        arguments = request.arguments.over(await request.form.late_fields())
        if arguments.file_format() != self.format:
            raise Refusal(400, "In a form with a large file, format= and mutable= must stand before the file.")
        return arguments

    async def store(self, gateway: Gateway, source: Source) -> Cap:
        """Store `source`, and return the strongest cap to it."""
        if self.format == "CHK":
            return (await upload(gateway, source)).cap
        try:
            await _require_unused(gateway, self.private_key, self.format)
            return (await gateway.files.create_mutable(source, self.format, self.private_key)).cap
        finally:
            await source.close()


async def _require_unused(gateway: Gateway, key: PrivateKey | None, file_format: MutableFormat) -> None:
    """Raise UncoordinatedWrite if there is a file under `key` already, which would be overwritten."""
    if key is None:
        return
    cap = MutableWriteCap(file_format, key.write_key, key.public_key.fingerprint)
    try:
        await gateway.files.open_mutable(cap).version()
    except UnrecoverableFile:
        return
    raise UncoordinatedWrite("there is a file under this private key already")


def directory_format(gateway: Gateway, arguments: Arguments) -> MutableFormat:
    """The format of a new directory: the default unless another is named. Raises Refusal for one that no directory has."""
    if "format" not in arguments and "mutable" not in arguments:
        return gateway.default_format
    chosen = arguments.file_format()
    if chosen != "CHK":
        return chosen
    if "format" in arguments:
        raise Refusal(400, "format=CHK not accepted for a directory that can be changed; t=mkdir-immutable makes one that cannot")
    return gateway.default_format


async def new_directory(
    gateway: Gateway, request: Request, children: Iterable[NewChild], immutable: bool, private_key: PrivateKey | None = None
) -> DirectoryCap:
    """Make a directory that nothing leads to yet."""
    if immutable:
        return (await gateway.files.create_immutable_directory(children)).cap
    file_format = directory_format(gateway, request.arguments)
    await _require_unused(gateway, private_key, file_format)
    return (await gateway.files.create_directory(children, file_format, private_key)).cap
