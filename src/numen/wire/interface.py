"""Interface files (varlink.org): what can be asked for, what is answered, and whether a value is of its type.

The file is the one source: requests are checked against it, `GetInterfaceDescription` gives it as it was written, and
its comments are the documentation.
"""

from __future__ import annotations

import re

from ..errors import DaemonError
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class BadInterface(DaemonError):
    """The text is no interface; the message names the line."""


class Mismatch(DaemonError):
    """A value is not of its type."""

    parameter: str
    """Which one: `names[2]`, `daemon.state`."""


class Plain(Record):
    """A type that has a name of its own: bool, int, float, string, object."""

    kind: str


class Named(Record):
    """A type that the interface defines."""

    name: str


class Maybe(Record):
    """`?T`: null, or missing, or a T."""

    inner: Type


class Array(Record):
    """`[]T`."""

    inner: Type


class Mapping(Record):
    """`[string]T`."""

    inner: Type


class Enum(Record):
    """`(one, another)`."""

    names: tuple[str, ...]


class Field(Record):
    """One field of a struct."""

    name: str
    type: Type
    doc: str


class Struct(Record):
    """`(name: T, …)`, with every field; none but these may be given."""

    members: dict[str, Field]


Type = Plain | Named | Maybe | Array | Mapping | Enum | Struct


class Method(Record):
    """A method: what is given and what is answered."""

    name: str
    given: Struct
    answered: Struct
    doc: str


class Definition(Record):
    """A type with a name."""

    name: str
    type: Struct | Enum
    doc: str


class Error(Record):
    """An error that a method may answer with."""

    name: str
    given: Struct
    doc: str


class Interface:
    """An interface as its file defines it."""

    def __init__(self, text: str) -> None:
        """Read the text of the file. Raises BadInterface."""
        self.text = text
        parser = _Parser(text)
        self.doc, self.name = parser.header()
        self.types: dict[str, Definition] = {}
        self.methods: dict[str, Method] = {}
        self.errors: dict[str, Error] = {}
        for member in parser.members():
            if member.name in self.types.keys() | self.methods.keys() | self.errors.keys():
                raise BadInterface(f"cannot read the interface {self.name}: {member.name} is defined twice")
            if isinstance(member, Method):
                self.methods[member.name] = member
            elif isinstance(member, Error):
                self.errors[member.name] = member
            else:
                self.types[member.name] = member
        if unknown := sorted(parser.named - self.types.keys()):
            raise BadInterface(f"cannot read the interface {self.name}: the type {unknown[0]} is not defined")

    def check_request(self, method: str, parameters: object) -> None:
        """Raises Mismatch where they are not what the method is given, KeyError where there is no such method."""
        self.check(self.methods[method].given, parameters)

    def check_reply(self, method: str, parameters: object) -> None:
        """Raises Mismatch where they are not what the method answers."""
        self.check(self.methods[method].answered, parameters)

    def check_error(self, error: str, parameters: object) -> None:
        """Raises Mismatch where they are not what the error comes with, KeyError where there is no such error."""
        self.check(self.errors[error].given, parameters)

    def check(self, kind: Type, value: object, where: str = "") -> None:
        """Raises Mismatch, which names the first part of the value that is not of its type."""
        match kind:
            case Plain():
                if not _PLAIN[kind.kind](value):
                    raise _mismatch(where, f"is no {kind.kind}")
            case Maybe():
                if value is not None:
                    self.check(kind.inner, value, where)
            case Named():
                self.check(self.types[kind.name].type, value, where)
            case Array() | Mapping():
                for place, one in _elements(kind, value, where):
                    self.check(kind.inner, one, place)
            case Enum():
                if not isinstance(value, str) or value not in kind.names:
                    raise _mismatch(where, f"is none of {', '.join(kind.names)}")
            case Struct():
                self._check_struct(kind, value, where)

    def _check_struct(self, kind: Struct, value: object, where: str) -> None:
        if type(value) is not dict:
            raise _mismatch(where, "is no object")
        before = f"{where}." if where else ""
        for name, field in kind.members.items():
            if name in value:
                self.check(field.type, value[name], before + name)
            elif not isinstance(field.type, Maybe):
                raise _mismatch(before + name, "is missing")
        for name in value:
            if name not in kind.members:
                raise _mismatch(before + name, "is not known")


def read(path: str) -> Interface:
    """The interface in that file. Raises BadInterface, OSError."""
    with open(path, encoding="utf-8", newline="") as file:
        return Interface(file.read())


def _elements(kind: Array | Mapping, value: object, where: str) -> Iterable[tuple[str, object]]:
    if isinstance(kind, Array):
        if type(value) is not list:
            raise _mismatch(where, "is no array")
        return ((f"{where}[{number}]", one) for number, one in enumerate(value))
    if type(value) is not dict:
        raise _mismatch(where, "is no object")
    return ((f"{where}[{key}]", one) for key, one in value.items())


def _mismatch(where: str, why: str) -> Mismatch:
    return Mismatch(f"{where or 'the value'} {why}", parameter=where)


def _is_int(value: object) -> bool:
    return type(value) is int and -(1 << 63) <= value < 1 << 63


def _is_float(value: object) -> bool:
    # NaN and the infinities are no JSON; an integer that no float can say is none.
    if type(value) is float:
        return value - value == 0
    return type(value) is int and -(1 << 1023) <= value <= 1 << 1023


_PLAIN: dict[str, Callable[[object], bool]] = {
    "bool": lambda value: type(value) is bool,
    "int": _is_int,
    "float": _is_float,
    "string": lambda value: type(value) is str,
    "object": lambda value: type(value) is dict,
}


# Reading the file

_DEEPEST = 32
"""How deep types may be nested."""

_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r\n]+)
    | (?P<comment>\#[^\n]*)
    | (?P<mark>->|\[string\]|\[\]|[?:,()])
    | (?P<interface>[A-Za-z](?:-*[A-Za-z0-9])*(?:\.[A-Za-z0-9](?:-*[A-Za-z0-9])*)+)
    | (?P<word>[A-Za-z][A-Za-z0-9_]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_MEMBER = re.compile(r"[A-Z][A-Za-z0-9]*")
_FIELD = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*")


class _Token(Record):
    kind: str
    text: str
    line: int
    doc: str


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    doc: list[str] = []
    is_beside = False
    for found in _TOKEN.finditer(text):
        kind, part = found.lastgroup or "", found.group()
        if kind == "blank":
            # Documentation stands right above what it is of; a comment beside a token is none, nor a licence on top.
            if part.count("\n") > 1:
                doc.clear()
            is_beside = is_beside and "\n" not in part
        elif kind == "comment":
            if not is_beside:
                doc.append(part[1:].removeprefix(" ").rstrip())
        else:
            yield _Token(kind=kind, text=part, line=line, doc="\n".join(doc))
            doc.clear()
            is_beside = True
        line += part.count("\n")
    yield _Token(kind="end", text="", line=line, doc="")


class _Parser:
    def __init__(self, text: str) -> None:
        self.named: set[str] = set()
        self._tokens = _tokens(text)
        self._next = next(self._tokens)
        self._depth = 0

    def header(self) -> tuple[str, str]:
        doc = self._expect("interface").doc
        if self._next.kind != "interface":
            raise self._wrong("the name of an interface")
        return doc, self._take().text

    def members(self) -> Iterator[Method | Definition | Error]:
        while self._next.kind != "end":
            doc = self._next.doc
            if self._skip("method"):
                name = self._word(_MEMBER, "the name of a method")
                given = self._struct()
                self._expect("->")
                yield Method(name=name, given=given, answered=self._struct(), doc=doc)
            elif self._skip("type"):
                name = self._word(_MEMBER, "the name of a type")
                yield Definition(name=name, type=self._braces(), doc=doc)
            elif self._skip("error"):
                name = self._word(_MEMBER, "the name of an error")
                yield Error(name=name, given=self._struct(), doc=doc)
            else:
                raise self._wrong("`type`, `method` or `error`")

    def _type(self) -> Type:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong("a type that is nested less deep")
        found = self._nested_type()
        self._depth -= 1
        return found

    def _nested_type(self) -> Type:
        if self._skip("?"):
            if self._next.text == "?":
                raise self._wrong("a type that is not optional already")
            return Maybe(inner=self._type())
        if self._skip("[]"):
            return Array(inner=self._type())
        if self._skip("[string]"):
            return Mapping(inner=self._type())
        if self._next.text == "(":
            return self._braces()
        if self._next.text in _PLAIN:
            return Plain(kind=self._take().text)
        name = self._word(_MEMBER, "a type")
        self.named.add(name)
        return Named(name=name)

    def _struct(self) -> Struct:
        opening = self._next
        found = self._braces()
        if isinstance(found, Enum):
            raise self._wrong("fields with their types", opening)
        return found

    def _braces(self) -> Struct | Enum:
        """A struct or an enum: the first name is followed by a type, or is not."""
        self._expect("(")
        names: dict[str, Field | None] = {}
        if not self._skip(")"):
            self._name(names, is_enum=None)
            is_enum = None in names.values()
            while self._skip(","):
                self._name(names, is_enum=is_enum)
            self._expect(")")
            if is_enum:
                return Enum(names=tuple(names))
        return Struct(members={name: field for name, field in names.items() if field is not None})

    def _name(self, names: dict[str, Field | None], *, is_enum: bool | None) -> None:
        token = self._next
        name = self._word(_FIELD, "the name of a field")
        if name in names:
            raise self._wrong("a name that is not there already", token)
        if is_enum is None:
            is_enum = self._next.text != ":"
        if is_enum:
            names[name] = None
        else:
            self._expect(":")
            names[name] = Field(name=name, type=self._type(), doc=token.doc)

    def _word(self, form: re.Pattern[str], what: str) -> str:
        if self._next.kind != "word" or not form.fullmatch(self._next.text):
            raise self._wrong(what)
        return self._take().text

    def _skip(self, text: str) -> bool:
        if self._next.text != text:
            return False
        self._take()
        return True

    def _expect(self, text: str) -> _Token:
        if self._next.text != text:
            raise self._wrong(f"`{text}`")
        return self._take()

    def _take(self) -> _Token:
        taken = self._next
        self._next = next(self._tokens)
        return taken

    def _wrong(self, wanted: str, token: _Token | None = None) -> BadInterface:
        token = token or self._next
        found = f"`{token.text}`" if token.text else "the end"
        return BadInterface(f"cannot read the interface: line {token.line}: {wanted} is wanted, {found} is there")
