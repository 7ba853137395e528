"""Files and directories that are made on request, before anything leads to them. Spec: 07 §4, §5."""
from __future__ import annotations

from collections.abc import Iterable

from attrs import field, frozen

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
    """The format of a new directory: the default, also for CHK, unless another is named. Raises Refusal for what is no format."""
    if "format" not in arguments and "mutable" not in arguments:
        return gateway.default_format
    chosen = arguments.file_format()
    return gateway.default_format if chosen == "CHK" else chosen


async def new_directory(
    gateway: Gateway, request: Request, children: Iterable[NewChild], immutable: bool, private_key: PrivateKey | None = None
) -> DirectoryCap:
    """Make a directory that nothing leads to yet."""
    if immutable:
        return (await gateway.files.create_immutable_directory(children)).cap
    file_format = directory_format(gateway, request.arguments)
    await _require_unused(gateway, private_key, file_format)
    return (await gateway.files.create_directory(children, file_format, private_key)).cap
