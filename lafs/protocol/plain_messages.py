"""Calls and answers of Foolscap as bytes, without the machinery that Foolscap needs for everything that it could carry.

Nearly all messages of this program are plain: numbers, byte strings, and containers of these. One of them is read here in
one pass over bytes that are all there, and written in one pass into a list of pieces. Whatever is not plain, not complete or
not valid raises `NotPlain` before anything has happened, and is left to Foolscap, which knows what to do about it.

Pure; called by `lafs.grid.foolscap_tuning` for every message of every connection. The bytes are Foolscap's own (its "banana"
encoding, spec: 05 §11.1): a token is a number in digits of seven bits, the lowest first, a byte for its type, and for strings
the contents.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import frozen

INT: Final = 0x81
STRING: Final = 0x82
NEG: Final = 0x83
LONGINT: Final = 0x85
LONGNEG: Final = 0x86
VOCAB: Final = 0x87
OPEN: Final = 0x88
CLOSE: Final = 0x89
ABORT: Final = 0x8A

_BASE: Final = 128
_LARGEST_HEAD: Final = 7 * 64
"""Bits of the number in front of a type: Foolscap's own limit."""

_LARGEST_INT: Final = 2**31
_DEEPEST: Final = 16
"""Containers in one another. Calls to a storage server have five."""

LONGEST_WORD: Final = 100
"""Bytes. The abbreviations that both ends agree on are names of types and methods."""


class NotPlain(Exception):
    """The message, or its beginning, is one for Foolscap itself."""


class Unfinished(NotPlain):
    """So far the message is plain, but at least `missing` bytes of it are still to come."""

    def __init__(self, missing: int) -> None:
        super().__init__(missing)
        self.missing = missing


@frozen
class Call:
    """A method of the other end's object `target` to be called. `request` is 0 if no answer is wanted."""

    request: int
    target: int
    method: str
    arguments: list[Any]
    named: dict[str, Any]


@frozen
class Answer:
    """The result of the call that had this number."""

    request: int
    result: Any


@frozen
class Reference:
    """An object of the sender's, offered to be called. The name of its interface and its URL come with the first time only."""

    number: int
    interface: str | None
    url: str | None


# --- reading ---------------------------------------------------------------------------------------------------------------


class MessageReader:
    """Reads messages from `data`, whose abbreviations `words` explains. After each, `position` is where the next one begins.

    `opened` counts the containers that were read, which number them for references of later messages.
    """

    __slots__ = ("_data", "_depth", "_words", "has_references", "opened", "position")

    def __init__(self, data: bytes, words: Mapping[int, bytes]) -> None:
        self._data = data
        self._words = words
        self.position = 0
        self._depth = 0
        self.opened = 0
        self.has_references = False

    def message(self) -> Call | Answer:
        """The next message. Raises NotPlain, Unfinished; what `position` and `opened` say is void then."""
        self.opened = self._depth = 0
        self.has_references = False
        try:
            kind, number = self._head()
            if kind != OPEN:
                raise NotPlain
            self.opened = 1
            name = self._word()
            if name == b"answer":
                message: Call | Answer = Answer(self._integer(), self._value(*self._head()))
            elif name == b"call":
                message = self._call()
            else:
                raise NotPlain
            self._close(number)
        except IndexError:
            raise Unfinished(1) from None
        except (KeyError, UnicodeDecodeError):
            raise NotPlain from None
        return message

    def _call(self) -> Call:
        request, target, method = self._integer(), self._integer(), self._word().decode()
        kind, number = self._head()
        if kind != OPEN or self._word() != b"arguments":
            raise NotPlain
        self.opened += 1
        count = self._integer()
        values = self._children(number)
        if len(values) < count or (len(values) - count) % 2:
            raise NotPlain
        names, named = values[count::2], {}
        for name, value in zip(names, values[count + 1 :: 2], strict=True):
            if type(name) is not bytes:
                raise NotPlain
            named[name.decode()] = value
        if len(named) != len(names):
            raise NotPlain
        return Call(request, target, method, values[:count], named)

    def _head(self) -> tuple[int, int]:
        """Type and number of the next token."""
        data, position = self._data, self.position
        byte = data[position]
        number = shift = 0
        while byte < _BASE:
            number |= byte << shift
            shift += 7
            if shift > _LARGEST_HEAD:
                raise NotPlain
            position += 1
            byte = data[position]
        self.position = position + 1
        return byte, number

    def _value(self, kind: int, number: int) -> Any:
        if kind == STRING:
            return self._take(number)
        if kind == INT:
            return number
        if kind == OPEN:
            return self._container(number)
        if kind == VOCAB:
            return self._words[number]
        if kind == NEG:
            return -number
        if kind == LONGINT:
            return int.from_bytes(self._take(number), "big")
        if kind == LONGNEG:
            return -int.from_bytes(self._take(number), "big")
        raise NotPlain

    def _take(self, size: int) -> bytes:
        start = self.position
        end = start + size
        if end > len(self._data):
            raise Unfinished(end - len(self._data))
        self.position = end
        return self._data[start:end]

    def _container(self, number: int) -> Any:
        self.opened += 1
        self._depth += 1
        name = self._word()
        if self._depth > _DEEPEST:
            raise NotPlain
        value = _BUILDERS[name](self._children(number))
        if type(value) is Reference:
            self.has_references = True
        self._depth -= 1
        return value

    def _children(self, opened: int) -> list[Any]:
        """All values up to the end of the container."""
        children: list[Any] = []
        while True:
            kind, number = self._head()
            if kind == CLOSE:
                if number != opened:
                    raise NotPlain
                return children
            children.append(self._value(kind, number))

    def _close(self, opened: int) -> None:
        if self._head() != (CLOSE, opened):
            raise NotPlain

    def _integer(self) -> int:
        kind, number = self._head()
        if kind != INT:
            raise NotPlain
        return number

    def _word(self) -> bytes:
        """The next value, which is a name. No attempt is made to wait for a long one."""
        kind, number = self._head()
        if kind == VOCAB:
            return self._words[number]
        if kind != STRING or number > LONGEST_WORD:
            raise NotPlain
        return self._take(number)


def _dictionary(children: list[Any]) -> dict[Any, Any]:
    keys = children[::2]
    try:
        built = dict(zip(keys, children[1::2], strict=True))
    except (TypeError, ValueError):
        raise NotPlain from None
    if len(built) != len(keys):
        raise NotPlain
    return built


def _set(children: list[Any]) -> set[Any]:
    try:
        built = set(children)
    except TypeError:
        raise NotPlain from None
    if len(built) != len(children):
        raise NotPlain
    return built


def _boolean(children: list[Any]) -> bool:
    if children not in ([0], [1]) or type(children[0]) is not int:
        raise NotPlain
    return children == [1]


def _none(children: list[Any]) -> None:
    if children:
        raise NotPlain


def _text(children: list[Any]) -> str:
    if len(children) != 1 or type(children[0]) is not bytes:
        raise NotPlain
    return children[0].decode()


def _reference(children: list[Any]) -> Reference:
    number, *names = children or [None]
    if type(number) is not int or number < 0 or len(names) > 2 or any(type(name) is not bytes for name in names):
        raise NotPlain
    interface, url = [name.decode() for name in names] + [None] * (2 - len(names))
    return Reference(number, interface or None, url)


_BUILDERS: Final[Mapping[bytes, Callable[[list[Any]], Any]]] = {
    b"list": lambda children: children,
    b"tuple": tuple,
    b"dict": _dictionary,
    b"set": _set,
    b"boolean": _boolean,
    b"none": _none,
    b"unicode": _text,
    b"my-reference": _reference,
}
"""What becomes of the children of a container, by its kind. Foolscap knows more kinds; KeyError leaves them to it."""


# --- writing ---------------------------------------------------------------------------------------------------------------

_SHORT: Final[dict[int, list[bytes]]] = {
    kind: [bytes([number, kind]) for number in range(_BASE)] for kind in (INT, STRING, NEG, VOCAB, OPEN, CLOSE, ABORT)
}


def token(number: int, kind: int) -> bytes:
    """The head of a token: `number`, not negative, and the type."""
    if number < _BASE:
        return _SHORT[kind][number]
    return _digits(number) + bytes([kind])


def _digits(number: int) -> bytes:
    digits = bytearray()
    while number:
        digits.append(number & (_BASE - 1))
        number >>= 7
    return bytes(digits)


class MessageWriter:
    """Writes messages as `pieces`. `words` are the abbreviations, `opened` is the number of the next container.

    `refer` turns an object that is not plain into a Reference to it, or raises NotPlain.
    """

    __slots__ = ("_refer", "_seen", "_words", "opened", "pieces")

    def __init__(self, words: Mapping[bytes, int], opened: int, refer: Callable[[Any], Reference]) -> None:
        self._words = words
        self._refer = refer
        self._seen: set[int] = set()
        self.opened = opened
        self.pieces: list[bytes] = []

    def call(self, call: Call) -> None:
        """Raises NotPlain, as `answer` does; what was written is void then."""
        number = self._open(b"call")
        self.pieces += (token(call.request, INT), token(call.target, INT))
        self._string(call.method.encode())
        arguments = self._open(b"arguments")
        self.pieces.append(token(len(call.arguments), INT))
        for value in call.arguments:
            self._value(value)
        for name in sorted(call.named):
            self._string(name.encode())
            self._value(call.named[name])
        self.pieces += (token(arguments, CLOSE), token(number, CLOSE))

    def answer(self, answer: Answer) -> None:
        number = self._open(b"answer")
        self.pieces.append(token(answer.request, INT))
        self._value(answer.result)
        self.pieces.append(token(number, CLOSE))

    def _open(self, name: bytes) -> int:
        number = self.opened
        self.opened += 1
        self.pieces.append(token(number, OPEN))
        self._string(name)
        return number

    def _value(self, value: Any) -> None:
        kind = type(value)
        if kind is bytes:
            self._string(value)
        elif kind is int:
            self._number(value)
        elif kind in _NAMES:
            self._children(value, kind)
        else:
            self._whole_reference(self._refer(value))

    def _string(self, value: bytes) -> None:
        # A long one is not looked up: that hashes all of it, half a millisecond for each MiB.
        word = self._words.get(value) if len(value) <= LONGEST_WORD else None
        if word is not None:
            self.pieces.append(token(word, VOCAB))
        else:
            self.pieces += (token(len(value), STRING), value)

    def _number(self, value: int) -> None:
        if 0 <= value < _LARGEST_INT:
            self.pieces.append(token(value, INT))
        elif -_LARGEST_INT <= value < 0:
            self.pieces.append(token(-value, NEG))
        else:
            size = (abs(value).bit_length() + 7) // 8
            self.pieces += (
                _digits(size) + bytes([LONGINT if value > 0 else LONGNEG]),
                abs(value).to_bytes(size, "big"),
            )

    def _children(self, value: Any, kind: type) -> None:
        if kind in _SENT_ONCE:
            # Foolscap would refer to the first appearance.
            if id(value) in self._seen:
                raise NotPlain
            self._seen.add(id(value))
        number = self._open(_NAMES[kind])
        for child in _children_of(value, kind):
            self._value(child)
        self.pieces.append(token(number, CLOSE))

    def _whole_reference(self, reference: Reference) -> None:
        number = self._open(b"my-reference")
        self._number(reference.number)
        if reference.interface is not None:
            self._string(reference.interface.encode())
        if reference.url is not None:
            self._string(reference.url.encode())
        self.pieces.append(token(number, CLOSE))


_NAMES: Final[Mapping[type, bytes]] = {
    list: b"list",
    tuple: b"tuple",
    dict: b"dict",
    set: b"set",
    frozenset: b"immutable-set",
    bool: b"boolean",
    type(None): b"none",
    str: b"unicode",
}
_SENT_ONCE: Final = frozenset({list, tuple, dict, set})


def _children_of(value: Any, kind: type) -> Any:
    if kind is dict:
        try:
            return [each for item in sorted(value.items(), key=_key) for each in item]
        except TypeError:
            raise NotPlain from None
    if kind is bool:
        return (int(value),)
    if value is None:
        return ()
    if kind is str:
        return (value.encode(),)
    return value


def _key(item: tuple[Any, Any]) -> Any:
    return item[0]
