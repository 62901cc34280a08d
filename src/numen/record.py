"""Frozen records that cost nothing to import.

A record is a dataclass as far as the type checker knows. The standard library's own takes 7 ms to import,
a third of what `numen detach` may take in all, so these few lines stand in for it at run time.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_options):
        """Stand in for `typing.dataclass_transform`, whose import alone takes 8 ms."""
        return lambda decorated: decorated


class _Shape:
    """What a class of records looks like, found once: an audit makes thousands of them, a supervisor too."""

    def __init__(self, cls: type) -> None:
        names: dict[str, None] = {}
        for base in reversed(cls.__mro__):
            names.update(dict.fromkeys(getattr(base, "__annotations__", ())))
        self.fields = tuple(names)
        self.known = frozenset(names)
        self.defaults = {name: getattr(cls, name) for name in names if hasattr(cls, name)}
        self.required = self.known - self.defaults.keys()


_SHAPES: "dict[type, _Shape]" = {}


def _shape(cls: type) -> _Shape:
    known = _SHAPES.get(cls)
    if known is None:
        known = _SHAPES[cls] = _Shape(cls)
    return known


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Record:
    """A value with named fields, given by keyword; those without a default must be given."""

    def __init__(self, **values: "Any") -> None:
        shape = _shape(type(self))
        given = values.keys()
        if not given <= shape.known:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(given - shape.known))}")
        if not shape.required <= given:
            missing = [name for name in shape.fields if name in shape.required and name not in given]
            raise TypeError(f"{type(self).__name__} needs the field {', '.join(missing)}")
        self.__dict__.update(values)

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        """The names of the fields, in the order in which they are written."""
        return _shape(cls).fields

    def values(self) -> "dict[str, Any]":
        """Every field with its value."""
        return {name: getattr(self, name) for name in self.fields()}

    def replace(self, **changes: "Any") -> "Self":
        """The same record with some fields changed."""
        cls = type(self)
        if cls.__init__ is not Record.__init__ or not changes.keys() <= _shape(cls).known:
            return cls(**{**self.__dict__, **changes})
        new = cls.__new__(cls)  # what it is made of was looked at when that was made
        new.__dict__.update(self.__dict__, **changes)
        return new

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed: the record is frozen")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return False
        if self.__dict__ == other.__dict__:
            return True
        # What was left out when it was made has its default.
        defaults = _shape(type(self)).defaults
        return {**defaults, **self.__dict__} == {**defaults, **other.__dict__}

    def __hash__(self) -> int:
        return hash((type(self), *self.values().values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.values().items())
        return f"{type(self).__name__}({shown})"
