"""Environment files: a variable a line, `NAME=VALUE`, as systemd.exec(5) and docker read them."""

from __future__ import annotations

from ..errors import BadOption, from_os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def parse_assignment(text: str) -> tuple[str, str]:
    """The name and the value in `NAME=VALUE`. Raises BadOption."""
    name, separator, value = text.partition("=")
    if not separator or not name or "\0" in text or name != name.strip():
        raise BadOption(f"{text!r} sets no environment variable; write NAME=VALUE")
    return name, value


def set_or_kept(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variable that `NAME=VALUE` sets, or that `NAME` alone takes from an environment, if it is there.

    Raises BadOption.
    """
    if "=" in text:
        return dict([parse_assignment(text)])
    return {text: environ[text]} if text in environ else {}


def read_environment_file(path: str) -> dict[str, str]:
    """The variables that a file sets; a path with `-` before it may be missing.

    Blank lines and those that start with `#` or `;` are passed over, and so is `export` before a name. A
    value in quotation marks loses them. Raises BadOption with file and line, Unusable or NoPermission.
    """
    may_be_missing, path = path.startswith("-"), path.removeprefix("-")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().split("\n")
    except FileNotFoundError as error:
        if may_be_missing:
            return {}
        raise from_os_error(error, f"read the environment file {path}") from error
    except OSError as error:
        raise from_os_error(error, f"read the environment file {path}") from error
    variables = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and text[0] not in "#;":
            try:
                name, value = parse_assignment(text.removeprefix("export ").lstrip())
            except BadOption:
                # What stands there may be part of a secret, and this is told to others.
                raise BadOption(f"{path}:{number}: the line sets no variable; write NAME=VALUE") from None
            try:
                variables[name] = _unquote(value)
            except BadOption as error:
                raise BadOption(f"{path}:{number}: {error}") from None
    return variables


def _unquote(value: str) -> str:
    quote = value[:1]
    if not quote or quote not in "\"'":
        return value
    if len(value) < 2 or value[-1] != quote:
        raise BadOption(f"the quotation mark {quote} is never closed")
    return value[1:-1]
