"""Paths in a set: relative ones are meant from the directory of its file, and a bare program is looked up in PATH.

What a definition says in the end is a full path, always: it must not depend on who reads it, or from where.
"""

from __future__ import annotations

import os

from ...become.command import find
from ...become.surroundings import DEFAULT_PATH
from ...errors import BadOption, ExecFailed
from ...record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

COMMANDS = frozenset({"command", "before_start", "after_exit", "on_failure", "reload_command"})
PATHS = frozenset({"directory", "environment_files", "secret_files"})
PROBES = frozenset({"ready", "alive.probe"})


class Base(Record):
    """Where paths begin, and where programs are."""

    directory: str
    search: str = DEFAULT_PATH
    """As PATH has it; what is relative in it begins at that directory too."""

    def with_path(self, *environments: Any) -> Base:
        """The same with the PATH of the last of these environments that has one, whatever else they hold."""
        found = [one["PATH"] for one in environments if isinstance(one, dict) and isinstance(one.get("PATH"), str)]
        return self.replace(search=found[-1]) if found else self

    def full(self, name: str, value: Any) -> Any:
        """The value of a key with its paths made full; what is no value of that key stays. Raises BadOption."""
        if name in COMMANDS:
            return self._command(value)
        if name in PROBES:
            return self._probe(value) if isinstance(value, str) else value
        return self._paths(value) if name in PATHS else value

    def _paths(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._paths(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._paths(one) for one in value]
        if not isinstance(value, str):
            return value
        bare = value.removeprefix("-")
        return value[: len(value) - len(bare)] + self._path(bare) if bare else value

    def _path(self, path: str) -> str:
        # One that is full stays as it is written.
        return path if path.startswith("/") else os.path.normpath(os.path.join(self.directory, path))

    def _command(self, value: Any) -> Any:
        if not isinstance(value, list) or not value or not isinstance(value[0], str) or not value[0]:
            return value
        return [self._program(value[0]), *value[1:]]

    def _program(self, program: str) -> str:
        if "/" in program:
            return self._path(program)
        search = ":".join(os.path.join(self.directory, one) for one in self.search.split(":"))
        try:
            return find(program, search)
        except ExecFailed as error:
            raise BadOption(str(error)) from None

    def _probe(self, text: str) -> str:
        kind, colon, rest = text.partition(":")
        if kind == "unix" and rest:
            return f"unix:{self._path(rest)}"
        if kind != "exec" or not colon:
            return text
        import shlex

        try:
            words = shlex.split(rest)
        except ValueError:  # told when the probe is read
            return text
        if not words or not words[0] or words[0].startswith("/"):
            return text
        return f"exec:{shlex.join([self._program(words[0]), *words[1:]])}"


def is_path(name: str) -> bool:
    """Whether there are paths in the value of a key."""
    return name in COMMANDS | PATHS | PROBES


def relaxed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of such a key as it holds in a set, where paths need not be full."""
    return {word: _relaxed(word, one) for word, one in schema.items() if not (word == "pattern" and "/" in one[:4])}


def _relaxed(word: str, value: Any) -> Any:
    if word == "pattern":
        return value.replace("unix:/", "unix:.")
    if isinstance(value, dict):
        return relaxed(value)
    return [_relaxed("", one) for one in value] if isinstance(value, list) else value
