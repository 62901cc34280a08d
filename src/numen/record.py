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


_FIELDS: "dict[type, tuple[str, ...]]" = {}
"""The fields of each class that has been asked for them: an audit makes thousands of records."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Record:
    """A value with named fields, given by keyword; those without a default must be given."""

    def __init__(self, **values: "Any") -> None:
        fields = self.fields()
        if unknown := values.keys() - set(fields):
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        if missing := [name for name in fields if name not in values and not hasattr(type(self), name)]:
            raise TypeError(f"{type(self).__name__} needs the field {', '.join(missing)}")
        self.__dict__.update(values)

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        """The names of the fields, in the order in which they are written."""
        known = _FIELDS.get(cls)
        if known is None:
            names: dict[str, None] = {}
            for base in reversed(cls.__mro__):
                names.update(dict.fromkeys(getattr(base, "__annotations__", ())))
            known = _FIELDS[cls] = tuple(names)
        return known

    def values(self) -> "dict[str, Any]":
        """Every field with its value."""
        return {name: getattr(self, name) for name in self.fields()}

    def replace(self, **changes: "Any") -> "Self":
        """The same record with some fields changed."""
        return type(self)(**{**self.__dict__, **changes})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed: the record is frozen")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.values() == other.values()

    def __hash__(self) -> int:
        return hash((type(self), tuple(self.values().values())))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.values().items())
        return f"{type(self).__name__}({shown})"
