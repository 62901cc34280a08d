"""The options of `numen start`, and the definition that they make."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from definitions import definitions
from numen.cli import detach
from numen.cli.definition_options import OPTIONS, TAKEN, callers_environment, definition_from, name_from
from numen.cli.options import Option, Table
from numen.errors import BadDefinition, BadOption, CommandNotFound, NotExecutable
from numen.keep.definitions.definition import Definition
from numen.keep.definitions.keys import GROUPS, KEYS
from numen.keep.definitions.tables import to_table

TABLE = Table(command="start", usage=("numen start",), description="", epilog="", options=OPTIONS)
ENVIRON = {"PATH": "/usr/bin:/bin"}


def defined(*arguments: str, environ: dict[str, str] | None = None, cwd: str = "/srv") -> Definition:
    values, command = TABLE.read([*arguments, "--", "/bin/sh"] if "--" not in arguments else arguments)
    return definition_from(values, command, ENVIRON if environ is None else environ, cwd)[0]


def taken(*arguments: str, environ: dict[str, str] | None = None, cwd: str = "/srv") -> list[str]:
    values, command = TABLE.read(arguments)
    return definition_from(values, command, ENVIRON if environ is None else environ, cwd)[1]


# Each option


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--directory", "/tmp"], "directory", "/tmp"),
        (["--umask", "0"], "umask", 0),
        (["--umask", "077"], "umask", 0o77),
        (["-e", "A=1", "--env=B=2"], "environment", {"A": "1", "B": "2", "PATH": "/usr/bin:/bin"}),
        (["--env-file", "/a", "--env-file=-b"], "environment_files", ("/a", "-/srv/b")),
        (["--user", "www-data"], "user", "www-data"),
        (["--group", "4"], "group", "4"),
        (["--groups", "adm,4"], "groups", ("adm", "4")),
        (["--groups", ""], "groups", ()),
        (["--ready", "fd:3"], "ready", "fd:3"),
        (["--timeout", "2m"], "ready_timeout", 120.0),
        (["--restart", "never"], "restart", "never"),
        (["--success", "0,75,TERM"], "success", (0, 75, -15)),
        (["--final", "78"], "final", (78,)),
        (["--backoff-first", "1s"], "backoff_first", 1.0),
        (["--backoff-longest", "5m"], "backoff_longest", 300.0),
        (["--healthy-after", "5s"], "healthy_after", 5.0),
        (["--forgiven-after", "1h"], "forgiven_after", 3600.0),
        (["--give-up", "5/10m"], "give_up_restarts", 5),
        (["--give-up", "5/10m"], "give_up_within", 600.0),
        (["--give-up", "5/10m/slowly"], "give_up_then", "slowly"),
        (["--stop", "INT/30s/KILL"], "stop", ((2, 30.0), (9, 10.0))),
        (["--stop=-INT/30s/-TERM/5s"], "stop", ((2, 30.0), (15, 5.0), (9, 10.0))),
        (["--stop", "20s"], "stop", ((15, 20.0), (9, 10.0))),
        (["--reload", "USR1"], "reload", 10),
        (["--log-size", "1GiB"], "log_size", 2**30),
        (["--log-keep", "9"], "log_keep", 9),
        (["--log-compress"], "log_compress", True),
        (["--timestamps"], "log_timestamps", True),
        (["--separate-stderr"], "log_separate_stderr", True),
        (["--limit", "nofile=9", "--limit", "processes=1:2"], "limits", {"open-files": (9, 9), "processes": (1, 2)}),
        (["--nice", "-5"], "nice", -5),
        (["--nice", "0"], "nice", 0),
        (["--oom-score", "0"], "oom_score", 0),
        (["--affinity", "0-2,5"], "affinity", (0, 1, 2, 5)),
        (["--capability", "chown", "--capability", "CAP_KILL"], "capabilities", ("chown", "kill")),
        (["--capability", "none"], "capabilities", ()),
        (["--no-new-privileges"], "no_new_privileges", True),
        (["--disabled"], "start", False),
        (["--set", "give_up.every=1h"], "give_up_every", 3600.0),
        (["--set", "vital=true"], "vital", True),
        (["--set", "umask=77"], "umask", 0o77),
        (["--set", "schedule.every = '5m'"], "schedule_every", 300.0),
        (["--set", "log.to=file,journal"], "log_to", ("file", "journal")),
        (["--set", 'restart_with=["db"]', "--set", "nice=1", "--set", "nice=0"], "restart_with", ("db",)),
        (["--set", "alive.probe=tcp://localhost:80"], "alive_probe", "tcp://localhost:80"),
        (["--set", "secret_files={A='/a'}", "--set", "secret_files={B='/b'}"], "secret_files", {"A": "/a", "B": "/b"}),
        (["--nice", "5", "--set", "nice=6"], "nice", 6),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else None,
)
def test_each_option_sets_what_it_says_and_nothing_else(arguments: list[str], field: str, value: object) -> None:
    definition, plain = defined(*arguments), defined()

    assert getattr(definition, field) == value
    others = {name for name in Definition.fields() if getattr(definition, name) != getattr(plain, name)} - {field}
    assert others <= {"give_up_restarts", "give_up_within", "give_up_then", "nice"}


FLAGS = {flag for option in OPTIONS for flag in option.flags}
OTHER_FLAGS = {
    "environment": "--env",
    "environment_files": "--env-file",
    "ready_timeout": "--timeout",
    "log.timestamps": "--timestamps",
    "log.separate_stderr": "--separate-stderr",
    "limits": "--limit",
    "capabilities": "--capability",
    "command": "--name",
    "start": "--disabled",
    "give_up.restarts": "--give-up",
    "give_up.within": "--give-up",
    "give_up.then": "--give-up",
}
WITHOUT_OPTION = {
    key.name
    for key in KEYS
    if OTHER_FLAGS.get(key.name, f"--{key.name.replace('.', '-').replace('_', '-')}") not in FLAGS
}


def as_toml(value: Any) -> str:
    """The value on one line."""
    match value:
        case dict():
            return "{" + ", ".join(f"{as_toml(name)} = {as_toml(one)}" for name, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(as_toml, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def arguments_for(definition: Definition) -> list[str]:
    """The options that make this definition, from its table."""
    arguments = []
    for name, value in to_table(definition).items():
        inner = {f"{name}.{last}": one for last, one in value.items()} if name in GROUPS else {name: value}
        for full, one in inner.items():
            arguments += [f"--set={full}={as_toml(one)}"] if full in WITHOUT_OPTION else option_for(full, one)
    if definition.give_up_restarts:
        within = f"{definition.give_up_within:f}"
        arguments.append(f"--give-up={definition.give_up_restarts}/{within}/{definition.give_up_then}")
    return arguments


def option_for(name: str, value: Any) -> list[str]:
    flag = OTHER_FLAGS.get(name, f"--{name.replace('.', '-').replace('_', '-')}")
    match name:
        case "command" | "give_up.restarts" | "give_up.within" | "give_up.then":
            return []
        case "start":
            return [flag]
        case "environment":
            return [f"{flag}={one}={text}" for one, text in value.items()]
        case "environment_files":
            return [f"{flag}={one}" for one in value]
        case "limits":
            texts = {
                one: ":".join(map(str, limit)) if isinstance(limit, list) else limit for one, limit in value.items()
            }
            return [f"{flag}={one}={text}" for one, text in texts.items()]
        case "capabilities":
            return [f"{flag}={one}" for one in value or ["none"]]
        case "stop":
            return [f"{flag}={'/'.join(map(str, value))}"]
        case "success" | "final" | "groups":
            return [f"{flag}={','.join(map(str, value))}"]
        case _:
            return [flag if value is True else f"{flag}={value}"]


@given(definitions())
def test_whatever_a_file_can_say_the_options_can_say_too(definition: Definition) -> None:
    wanted = definition.replace(
        command=("/bin/sh", *definition.command[1:]),
        directory=os.path.normpath(definition.directory),
        environment_files=tuple(
            ("-" if one.startswith("-") else "") + os.path.normpath(one.removeprefix("-"))
            for one in definition.environment_files
        ),
    )
    if not wanted.give_up_restarts:
        wanted = wanted.replace(give_up_within=Definition.give_up_within, give_up_then=Definition.give_up_then)
    wanted = wanted.replace(give_up_within=float(round(wanted.give_up_within, 6)))
    # Numbers without an exact text, and names with a comma, are for files alone.
    assume(not any("," in one for one in wanted.groups or ()))
    assume(wanted.log_size < 10**15)
    assume("e-" not in str(to_table(wanted)))
    assume(all(max(limit) < 10**15 for limit in wanted.limits.values()))
    assume(not any(one != one.strip() for one in wanted.groups or ()))

    values, command = TABLE.read([*arguments_for(wanted), "--", *wanted.command])

    assert definition_from(values, command, {}, "/")[0] == wanted


def test_set_takes_each_key_but_the_command_and_what_numen_alone_writes() -> None:
    given_as = {key.name: f"{key.name}={key.example}" for key in KEYS}
    refused = {}
    for name, written in given_as.items():
        try:
            TABLE.read(["--set", written])
        except BadOption as error:
            refused[name] = str(error)

    assert refused == {
        "command": "option --set: the command stands after two dashes: numen start --name web -- ./server",
        "source": "option --set: numen alone writes source",
    }


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("nice", "'nice' sets nothing; write KEY=VALUE, such as vital=true"),
        ("=3", "'' is no key"),
        ("nise=3", "'nise' is no key: there is no such key; did you mean nice?"),
        ("nice=40", "nice: 40 is no whole number from -20 to 19"),
        ("nice=x", "nice: 'x' is no whole number from -20 to 19"),
        ("vital=yes", "vital: 'yes' is neither true nor false"),
        ("restart=1979-05-27", "restart: '1979-05-27' is unknown"),
        ("restart=" + "[" * 3000, "restart: '[["),
    ],
    ids=lambda one: one[:20],
)
def test_what_cannot_be_set_is_told_with_its_key(written: str, told: str) -> None:
    with pytest.raises(BadOption) as caught:
        TABLE.read(["--set", written])
    assert str(caught.value).startswith(f"option --set: {told}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--umask", "888"],
        ["--ready", "exit"],
        ["--timeout", "long"],
        ["--restart", "sometimes"],
        ["--success", "256"],
        ["--final", "FLY"],
        ["--backoff-first", "1ms"],
        ["--healthy-after", "0"],
        ["--give-up", "5"],
        ["--give-up", "5/"],
        ["--give-up", "x/10m"],
        ["--give-up", "5/10m/explode"],
        ["--stop", "KILL/1s/TERM"],
        ["--stop", ""],
        ["--reload", "KILL"],
        ["--log-size", "1"],
        ["--log-keep", "0"],
        ["--limit", "open-files"],
        ["--limit", "files=1"],
        ["--nice", "20"],
        ["--nice", "9" * 5000],
        ["--oom-score", "1.5"],
        ["--affinity", "3-1"],
        ["--user", ""],
    ],
    ids=lambda one: " ".join(one)[:40],
)
def test_a_value_that_makes_no_sense_is_refused_with_its_option(arguments: list[str]) -> None:
    with pytest.raises(BadOption, match=rf"^option {arguments[0]}: "):
        defined(*arguments)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["--healthy-after", "2m"], "healthy_after"),
        (["--backoff-first", "2m", "--backoff-longest", "1m"], "backoff.longest"),
        (["--capability", "fly"], "capabilities"),
        (["--env-file", ""], "environment_files"),
    ],
)
def test_what_only_the_whole_shows_is_refused_with_its_key(arguments: list[str], key: str) -> None:
    with pytest.raises(BadDefinition) as caught:
        defined(*arguments)
    assert [name for name, _ in caught.value.mistakes] == [key]


def test_a_variable_without_a_name_is_refused() -> None:
    with pytest.raises(BadOption):
        defined("-e", "=x")


@pytest.mark.parametrize("flag", sorted({flag for one in detach.TABLE.options for flag in one.flags}))
def test_an_option_that_detach_has_too_is_written_in_the_same_way(flag: str) -> None:
    def by_flag(options: tuple[Option, ...]) -> Option | None:
        return next((one for one in options if flag in one.flags), None)

    ours, theirs = by_flag(OPTIONS), by_flag(detach.TABLE.options)

    if ours and theirs and flag != "--stop":
        assert (ours.flags, ours.metavar, ours.repeated) == (theirs.flags, theirs.metavar, theirs.repeated)


def test_every_option_says_what_it_does() -> None:
    assert [one.flags for one in OPTIONS if not one.help] == []
    assert TABLE.parser().format_help()


# The program


@pytest.fixture
def tools(public_path: Path) -> Path:
    """A directory with a program, and a file that is none."""
    place = public_path / "tools"
    place.mkdir()
    (place / "tool").write_text("#!/bin/sh\n")
    (place / "tool").chmod(0o755)
    (place / "plain").write_text("")
    return place


def test_a_bare_name_is_found_on_the_caller_s_path(tools: Path) -> None:
    environ = {"PATH": f"/nowhere:{tools}:/bin"}

    assert defined("--", "tool", "x", environ=environ).command == (f"{tools}/tool", "x")
    assert f"the program {tools}/tool" in taken("--", "tool", environ=environ)


def test_a_path_that_is_set_for_the_daemon_is_searched_instead(tools: Path) -> None:
    assert defined("-e", f"PATH={tools}", "--", "tool").command == (f"{tools}/tool",)


def test_relative_paths_are_those_of_the_caller(tools: Path) -> None:
    cwd = str(tools.parent)

    for written in ("./tools/tool", "tools/tool", "tools/../tools/tool"):
        assert defined("--", written, cwd=cwd).command == (f"{tools}/tool",)
    assert defined("--", "tool", environ={"PATH": "tools"}, cwd=cwd).command == (f"{tools}/tool",)
    assert defined("--directory", "tools", cwd=cwd).directory == str(tools)
    assert defined("--directory", "..", cwd=str(tools)).directory == cwd


def test_a_program_that_is_not_there_or_is_none_is_told(tools: Path) -> None:
    environ = {"PATH": str(tools)}

    for written in ("no-such-tool", "/no/such/tool", ""):
        with pytest.raises(CommandNotFound):
            defined("--", written, environ=environ)
    for written in ("plain", f"{tools}/plain", str(tools)):
        with pytest.raises(NotExecutable):
            defined("--", written, environ=environ)


def test_arguments_that_no_file_can_hold_are_refused() -> None:
    with pytest.raises(BadDefinition, match="UTF-8"):
        defined("--", "/bin/sh", "\udcff")


def test_a_daemon_is_named_like_its_program_unless_it_is_named() -> None:
    def name(*arguments: str) -> str:
        return name_from(*TABLE.read(arguments))

    assert name("--", "/usr/bin/python3", "-m", "x") == "python3"
    assert name("--name", "web", "--", "python3") == "web"
    for wrong in ("numen", "a b", ""):
        with pytest.raises(BadOption):
            name("--name", wrong, "--", "x")


# What is taken from the caller


CALLER = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "LC_TIME": "de_DE.UTF-8",
    "VIRTUAL_ENV": "/srv/venv",
    "TZ": "Europe/Berlin",
    "HOME": "/home/me",
    "SSH_AUTH_SOCK": "/tmp/ssh/agent",
    "SSH_CONNECTION": "::1 1 ::1 22",
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/bus",
    "DISPLAY": ":0",
    "API_TOKEN": "secret",
    "XDG_RUNTIME_DIR": "/run/user/1000",
    "NOTIFY_SOCKET": "/run/notify",
}


def test_only_what_every_program_needs_is_taken() -> None:
    assert set(defined(environ=CALLER).environment) == {*TAKEN, "LC_TIME"}


@given(st.dictionaries(st.text(min_size=1).filter(lambda name: "=" not in name and "\0" not in name), st.text()))
def test_no_other_variable_is_ever_taken_unless_it_is_named(environ: dict[str, str]) -> None:
    environment = defined(environ={**environ, "PATH": "/bin"}).environment

    assert all(name in TAKEN or name.startswith("LC_") for name in environment)


def test_a_variable_that_is_named_is_taken_and_one_that_is_set_is_set() -> None:
    environment = defined("-e", "HOME", "-e", "TZ=UTC", "-e", "MISSING", environ=CALLER).environment

    assert (environment["HOME"], environment["TZ"]) == ("/home/me", "UTC")
    assert "MISSING" not in environment


def test_it_is_told_what_was_taken() -> None:
    told = taken("-e", "HOME", "-e", "TZ=UTC", "-e", "MISSING", "--", "sh", environ=CALLER)

    assert told[1:] == [
        "the directory /srv",
        "HOME, LANG, LC_TIME, PATH, VIRTUAL_ENV of the environment",
        "no MISSING, which the environment does not have",
    ]
    assert taken("--directory", "/", "--", "/bin/sh", environ={}) == []


def test_what_no_file_can_hold_is_not_taken_and_refused_where_it_is_named() -> None:
    environ = {**CALLER, "TZ": "\udcff", "ODD": "\udcff"}

    assert "TZ" not in defined(environ=environ).environment
    with pytest.raises(BadDefinition, match="ODD"):
        defined("-e", "ODD", environ=environ)


def test_a_locale_that_python_has_set_is_not_the_caller_s(monkeypatch: pytest.MonkeyPatch) -> None:
    given_to_us: dict[str, Any] = callers_environment()
    monkeypatch.setenv("LC_CTYPE", "C.UTF-8")

    assert callers_environment().get("LC_CTYPE") == given_to_us.get("LC_CTYPE")
