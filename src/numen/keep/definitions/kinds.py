"""The kinds of values in a definition: how each is read from TOML, JSON or an option's text, and written back.

What is read is refused with BadOption, never with another error, whatever it is.
"""

from __future__ import annotations

import math

from ...become.identity import CAPABILITIES, parse_capability
from ...errors import BadOption
from ...record import Record
from ...settings.durations import exact_duration, format_duration, parse_duration
from ...settings.environment import parse_assignment
from ...settings.limits import LIMITS, check_limit, format_limit_value, limit_number, parse_limit_value
from ...settings.names import check_kept_name, comma_separated
from ...settings.octal import octal
from ...settings.signals import parse_signal, signal_name
from ...settings.sizes import format_size, parse_size
from ...settings.telling import shown
from .definition import FILE, JOURNAL, SYSLOG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

LONGEST = 10 * 365 * 86400.0
"""Seconds; a longer duration is a slip, and adding many of them must stay a number."""

LARGEST = 2**63 - 1
"""The largest whole number of TOML."""

MOST_PROCESSORS = 8192

LAST_WAIT = 10.0
"""Seconds that follow the last signal of a stop, where none are given."""


def _same(value: Any) -> Any:
    return value


class Kind(Record):
    """One kind of value."""

    parse: Callable[[Any], Any]
    """Makes the value from what TOML or JSON holds. Raises BadOption."""
    form: Callable[[Any], Any] = staticmethod(_same)
    """Makes what TOML and JSON can hold from the value; parse() makes the same value of it."""
    split: Callable[[str], Any] = staticmethod(_same)
    """Makes what parse() takes from the text of an option."""
    written: str
    """How it is written, in words, for the manual."""
    schema: Mapping[str, Any]
    """What parse() takes, as JSON Schema says it; an editor knows by it what may stand there."""

    def convert(self, text: str) -> Any:
        """The value that an option's text means. Raises BadOption."""
        return self.parse(self.split(text))


def text_of(value: Any, what: str = "text") -> str:
    """The value, if it is text that a file and a system call can hold. Raises BadOption."""
    if not isinstance(value, str):
        raise BadOption(f"{shown(value)} is no {what}; write it in quotation marks")
    if "\0" in value:
        raise BadOption(f"{shown(value)} has a NUL character in it, which no system call takes")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadOption(f"{shown(value)} is no UTF-8 text, so that no file can hold it") from None
    return value


def _filled(value: Any, what: str = "text") -> str:
    if not (text := text_of(value, what)):
        raise BadOption(f"it is empty; write a {what}, or leave the key out")
    return text


def _list_of(value: Any, example: str) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise BadOption(f"{shown(value)} is no list; write one like {example}")
    return list(value)


def _whole(value: Any, lowest: int, highest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise BadOption(f"{shown(value)} is no whole number from {lowest} to {highest}")
    return value


def _number_in(text: str) -> int | str:
    """The whole number in a text, or the text, which parse() then refuses."""
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 20 else text


# Text and lists of it


def _path(value: Any) -> str:
    path = _filled(value, "path")
    if not path.startswith("/"):
        raise BadOption(f"{shown(path)} is no full path; it has to begin with /")
    return path


def _command(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise BadOption(f"{shown(value)} is no list; write each word by itself, {_words(value)}")
    words = tuple(text_of(one, "word") for one in _list_of(value, '["/usr/bin/python3", "-m", "http.server"]'))
    if not words or not words[0]:
        raise BadOption("it is empty; write the program and its arguments")
    if not words[0].startswith("/"):
        raise BadOption(f"the program {shown(words[0])} is no full path; it has to begin with /")
    return words


def _words(line: str) -> str:
    import json
    import shlex

    try:
        words = shlex.split(line)
    except ValueError:  # a quotation mark is never closed
        words = line.split()
    return json.dumps(words[:8], ensure_ascii=False)


def _environment(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise BadOption(f'{shown(value)} is no table; write one like {{ PORT = "8000" }}')
    variables = {}
    for name, one in value.items():
        key = text_of(name, "name")
        parse_assignment(f"{key}=")
        if "=" in key:
            raise BadOption(f"{shown(key)} is no name of a variable: there is a = in it")
        is_number = isinstance(one, int) and not isinstance(one, bool) and abs(one) <= LARGEST
        try:
            variables[key] = str(one) if is_number else text_of(one)
        except BadOption as error:
            raise BadOption(f"{key}: {error}") from None
    return variables


def _secret_files(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise BadOption(f'{shown(value)} is no table; write one like {{ DB_PASSWORD = "/etc/web/db-password" }}')
    files = _environment(value)
    for name, path in files.items():
        try:
            _path(path)
        except BadOption as error:
            raise BadOption(f"{name}: {error}") from None
    return files


def _on_failure(value: Any) -> tuple[str, ...]:
    # A name is no program by its full path, so the two cannot be taken for each other.
    if not isinstance(value, str):
        return _command(value)
    check_kept_name(value)
    return "", value


def _percent(value: Any) -> int:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    digits = text.removesuffix("%").strip() if isinstance(text, str) else ""
    if not digits.isascii() or not digits.isdigit() or len(digits) > 7 or not int(digits):
        raise BadOption(f'{shown(value)} is no percentage; write one like "50%", or "200%" for two processors')
    return int(digits)


def _names(value: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_filled(one, "name") for one in _list_of(value, '["db"]')))


def _log_targets(value: Any) -> tuple[str, ...]:
    found = _names(value)
    for one in found:
        if one not in (FILE, SYSLOG, JOURNAL):
            raise BadOption(f"{shown(one)} is unknown; there are {FILE}, {SYSLOG} and {JOURNAL}")
    if not found:
        raise BadOption(f'it is empty; write one like ["{FILE}"]')
    return found


def _environment_files(value: Any) -> tuple[str, ...]:
    files = []
    for one in _list_of(value, '["/etc/default/web"]'):
        path = _filled(one, "path")
        _path(path.removeprefix("-"))
        files.append(path)
    return tuple(files)


def _account(value: Any) -> str:
    """The name of a user or of a group, or its number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(_whole(value, 0, 2**32 - 2))
    name = _filled(value, "name")
    if name != name.strip() or ":" in name or "\n" in name:
        raise BadOption(f"{shown(name)} is no name of a user or of a group")
    return name


def _groups(value: Any) -> tuple[str, ...]:
    return tuple(_account(one) for one in _list_of(value, '["adm", "www-data"]'))


def _capabilities(value: Any) -> tuple[str, ...]:
    found = [CAPABILITIES[parse_capability(_filled(one, "name"))] for one in _list_of(value, '["net_bind_service"]')]
    return tuple(dict.fromkeys(found))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadOption(f"{shown(value)} is neither true nor false; write one of them, without quotation marks")
    return value


def _umask(value: Any) -> int:
    # A number is refused: TOML's 22 is 0o26, and nobody who writes it means that.
    if not isinstance(value, str):
        raise BadOption(f'{shown(value)} is no umask; write octal digits in quotation marks, such as "022"')
    return octal(value)


# Signals and exit statuses


def _signal(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65:
        value = str(value)
    if not isinstance(value, str) or not value.isascii() or len(value) > 20:
        raise BadOption(f"{shown(value)} is no signal; write one like TERM, HUP or USR1 (kill -l lists them)")
    return int(parse_signal(value))


def _short(number: int) -> str:
    return signal_name(number).removeprefix("SIG")


def _reload(value: Any) -> int:
    number = _signal(value)
    if _short(number) in ("KILL", "STOP"):
        raise BadOption(f"{shown(value)} lets no program reload: none can take it")
    return number


def _endings(value: Any) -> tuple[int, ...]:
    return tuple(dict.fromkeys(_ending(one) for one in _list_of(value, '[0, 3, "TERM"]')))


def _ending(value: Any) -> int:
    """An exit status, or a signal as a negative number."""
    if isinstance(value, str):
        number = _number_in(value)
        return -_signal(value) if isinstance(number, str) else _whole(number, 0, 255)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 255:
        raise BadOption(f"{shown(value)} is no exit status from 0 to 255, and no name of a signal such as TERM")
    return value


def _endings_form(value: tuple[int, ...]) -> list[int | str]:
    return [one if one >= 0 else _short(-one) for one in value]


def _stop(value: Any) -> tuple[tuple[int, float], ...]:
    if isinstance(value, str):
        value = _slashes(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = [value]
    parts = _list_of(value, '["TERM", "10s", "KILL"]')
    if len(parts) > 40:
        raise BadOption(f"{shown(value)} has too many steps")
    if len(parts) == 1 and _is_duration(parts[0]):
        # One duration alone is the patience after TERM, as in `numen detach --stop NAME --retry 10s`.
        parts = ["TERM", parts[0], "KILL"]
    if not parts:
        raise BadOption('it is empty; write one like ["TERM", "10s", "KILL"]')
    if len(parts) % 2:
        parts.append(LAST_WAIT)
    steps = tuple((_signal(name), _patience(wait)) for name, wait in zip(parts[::2], parts[1::2], strict=True))
    names = [_short(number) for number, _wait in steps]
    if "KILL" in names[:-1]:
        raise BadOption("KILL comes last: nothing outlives it")
    # Else a daemon that ignores all of them could never be stopped.
    return steps if names[-1] == "KILL" else (*steps, (_signal("KILL"), LAST_WAIT))


def _is_duration(value: Any) -> bool:
    return not isinstance(value, str) or value[:1].isdigit()


def _slashes(text: str) -> list[str]:
    return [one.strip().removeprefix("-") for one in text.split("/")]


def _stop_form(value: tuple[tuple[int, float], ...]) -> list[str | float]:
    parts = [part for number, wait in value for part in (_short(number), exact_duration(wait))]
    return parts[:-1] if value[-1][1] == LAST_WAIT else parts


# Numbers


def _seconds(value: Any) -> float:
    if isinstance(value, str):
        seconds = parse_duration(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and value == value:
        seconds = float(min(value, 2 * LONGEST))
    else:
        raise BadOption(f'{shown(value)} is no duration; write one like "500ms", "30s" or "5m"')
    return seconds


def _patience(value: Any) -> float:
    return _seconds_from(value, 0.0)


def _seconds_from(value: Any, lowest: float) -> float:
    seconds = _seconds(value)
    if not lowest <= seconds <= LONGEST:
        bound = f"below {format_duration(lowest)}" if seconds < lowest else "above ten years"
        raise BadOption(f"{shown(value)} is {bound}")
    assert math.isfinite(seconds)
    return seconds


def _affinity(value: Any) -> tuple[int, ...]:
    found: set[int] = set()
    for one in comma_separated(value) if isinstance(value, str) else _list_of(value, '"0-3,8" or [0, 1]'):
        if isinstance(one, str):
            first, dash, last = one.partition("-")
            low = _whole(_number_in(first), 0, MOST_PROCESSORS - 1)
            high = _whole(_number_in(last), 0, MOST_PROCESSORS - 1) if dash else low
            if high < low:
                raise BadOption(f"{shown(one)} is no range: it ends before it begins")
            found.update(range(low, high + 1))
        else:
            found.add(_whole(one, 0, MOST_PROCESSORS - 1))
    if not found:
        raise BadOption("it is empty; write processors, such as 0-3,8, or leave the key out")
    return tuple(sorted(found))


def _affinity_form(value: tuple[int, ...]) -> str:
    runs: list[list[int]] = []
    for one in value:
        if runs and runs[-1][1] == one - 1:
            runs[-1][1] = one
        else:
            runs.append([one, one])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


_LIMIT_NAMES = {number: name for name, number in LIMITS.items()}


def _limits(value: Any) -> dict[str, tuple[int, int]]:
    if not isinstance(value, dict):
        raise BadOption(f"{shown(value)} is no table; write one like {{ open-files = 65536 }}")
    limits = {}
    for written, one in value.items():
        name = _filled(written, "name")
        number = limit_number(name)
        name = _LIMIT_NAMES.get(number, name.strip().lower())
        if name in limits:
            raise BadOption(f"{name} is there twice, once as {shown(written)}")
        try:
            limits[name] = _limit(one)
        except BadOption as error:
            raise BadOption(f"{name}: {error}") from None
        check_limit(name, limits[name])
    return limits


def _limit(value: Any) -> tuple[int, int]:
    parts = value.split(":") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)):
        parts = [parts]
    if not 1 <= len(parts) <= 2:
        raise BadOption(f'{shown(value)} is no limit; write one like 65536, "1GiB", "unlimited" or [100, 200]')
    numbers = [parse_limit_value(one) if isinstance(one, str) else _whole(one, 0, LARGEST) for one in parts]
    for one in numbers:
        if one > LARGEST:
            raise BadOption(f"{shown(value)} is above {LARGEST}")
    return numbers[0], numbers[-1]


def _limits_form(value: dict[str, tuple[int, int]]) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for name, (soft, hard) in value.items():
        pair = [format_limit_value(soft), format_limit_value(hard)]
        limits[name] = pair[0] if soft == hard else pair
    return limits


def _limits_split(text: str) -> dict[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise BadOption(f"{text!r} is no limit; write one like open-files=65536 or processes=100:200")
    return {name: value}


# The kinds by name


def _any_of(*schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": list(schemas)}


def _list_schema(*items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items[0] if len(items) == 1 else _any_of(*items)}


_TEXT = {"type": "string"}
_FULL_PATH = {"type": "string", "pattern": "^/"}
_NAME_OR_NUMBER = {"type": ["string", "integer"]}
_LIMIT = _any_of(
    _TEXT, {"type": "integer", "minimum": 0}, {**_list_schema(_NAME_OR_NUMBER), "minItems": 1, "maxItems": 2}
)


def number(lowest: int, highest: int) -> Kind:
    """Whole numbers between two bounds."""
    return Kind(
        parse=lambda value: _whole(value, lowest, highest),
        split=_number_in,
        written=f"a whole number from {lowest} to {highest}",
        schema={"type": "integer", "minimum": lowest, "maximum": highest},
    )


def duration(lowest: float) -> Kind:
    """Durations of at least so many seconds."""
    return Kind(
        parse=lambda value: _seconds_from(value, lowest),
        form=exact_duration,
        written="a duration" + (f" of at least {format_duration(lowest)}" if lowest else ""),
        schema=_any_of(_TEXT, {"type": "number", "minimum": lowest, "maximum": LONGEST}),
    )


def size(lowest: int) -> Kind:
    """Sizes of at least so many bytes."""

    def parse(value: Any) -> int:
        found = parse_size(value) if isinstance(value, str) else value
        if not isinstance(found, int) or isinstance(found, bool) or not lowest <= found <= LARGEST:
            raise BadOption(f"{shown(value)} is no size from {format_size(lowest)}; write one like 4096 or 50MB")
        return found

    return Kind(
        parse=parse,
        form=format_size,
        written=f"a size of at least {format_size(lowest)}",
        schema=_any_of(_TEXT, {"type": "integer", "minimum": lowest}),
    )


def choice(*words: str) -> Kind:
    """One of some words."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise BadOption(f"{shown(value)} is unknown; there are {', '.join(words)}")
        return value

    return Kind(parse=parse, written=" or ".join(f"`{word}`" for word in words), schema={"enum": list(words)})


COMMAND = Kind(
    parse=_command,
    form=list,
    written="a list of words",
    schema={**_list_schema(_TEXT), "prefixItems": [_FULL_PATH], "minItems": 1},
)
ON_FAILURE = Kind(
    parse=_on_failure,
    form=lambda value: list(value) if value[0] else value[1],
    written="a list of words: a command; or the name of a daemon",
    schema=_any_of(_TEXT, COMMAND.schema),
)
PATH = Kind(parse=_path, written="a full path", schema=_FULL_PATH)
PERCENT = Kind(
    parse=_percent,
    form=lambda value: f"{value}%",
    written="a percentage of one processor",
    schema=_any_of({"type": "string", "pattern": "^[0-9]+%?$"}, {"type": "integer", "minimum": 1}),
)
NAMES = Kind(parse=_names, form=list, split=comma_separated, written="a list of names", schema=_list_schema(_TEXT))
LOG_TARGETS = Kind(
    parse=_log_targets,
    form=list,
    split=comma_separated,
    written=f"a list of `{FILE}`, `{SYSLOG}` and `{JOURNAL}`",
    schema={**_list_schema({"enum": [FILE, SYSLOG, JOURNAL]}), "minItems": 1},
)
SECRET_FILES = Kind(
    parse=_secret_files,
    form=dict,
    written="a table of full paths",
    schema={"type": "object", "additionalProperties": _FULL_PATH},
)
UMASK = Kind(
    parse=_umask,
    form=lambda mask: f"{mask:03o}",
    written="octal digits as text",
    schema={"type": "string", "pattern": "^[0-7]{1,4}$"},
)
ENVIRONMENT = Kind(
    parse=_environment,
    form=dict,
    written="a table of text",
    schema={"type": "object", "additionalProperties": _NAME_OR_NUMBER},
)
ENVIRONMENT_FILES = Kind(
    parse=_environment_files,
    form=list,
    written="a list of full paths",
    schema=_list_schema({"type": "string", "pattern": "^-?/"}),
)
ACCOUNT = Kind(parse=_account, written="a name or a number", schema=_NAME_OR_NUMBER)
GROUPS = Kind(
    parse=_groups,
    form=list,
    split=comma_separated,
    written="a list of names or numbers",
    schema=_list_schema(_NAME_OR_NUMBER),
)
ENDINGS = Kind(
    parse=_endings,
    form=_endings_form,
    split=comma_separated,
    written="a list of exit statuses and signals",
    schema=_list_schema(_TEXT, {"type": "integer", "minimum": 0, "maximum": 255}),
)
STOP = Kind(
    parse=_stop,
    form=_stop_form,
    split=_slashes,
    written="a list: signals, and how long to wait after each",
    schema=_any_of({**_list_schema({"type": ["string", "number"]}), "minItems": 1}, {"type": ["string", "number"]}),
)
RELOAD = Kind(
    parse=_reload,
    form=_short,
    written="a signal",
    schema=_any_of(_TEXT, {"type": "integer", "minimum": 1, "maximum": 64}),
)
FLAG = Kind(parse=_flag, written="`true` or `false`", schema={"type": "boolean"})
LIMITS_TABLE = Kind(
    parse=_limits,
    form=_limits_form,
    split=_limits_split,
    written="a table of limits",
    # The manual's names, such as nofile, are taken too.
    schema={"type": "object", "properties": dict.fromkeys(LIMITS, _LIMIT), "additionalProperties": _LIMIT},
)
AFFINITY = Kind(
    parse=_affinity,
    form=_affinity_form,
    written="text such as `0-3,8`, or a list of numbers",
    schema=_any_of(_TEXT, {**_list_schema(_NAME_OR_NUMBER), "minItems": 1}),
)
CAPABILITY_NAMES = Kind(
    parse=_capabilities,
    form=list,
    split=comma_separated,
    written="a list of names",
    schema=_list_schema(_TEXT),
)
