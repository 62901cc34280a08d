"""Definitions as Hypothesis makes them up: any that a file can hold."""

from typing import Any

from hypothesis import strategies as st

from numen.become.identity import CAPABILITIES
from numen.keep.definitions.definition import Definition
from numen.keep.definitions.kinds import LARGEST, LONGEST
from numen.keep.definitions.references import Reference
from numen.settings.limits import LIMITS

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Z", "C"], exclude_characters="=:"), min_size=1, max_size=10)
PATHS = TEXT.map(lambda text: f"/{text}")
SIGNALS = st.sampled_from([1, 2, 3, 6, 10, 12, 14, 15, 17, 18])
ENDINGS = st.lists(st.integers(0, 255) | SIGNALS.map(lambda number: -number), unique=True, max_size=5).map(tuple)


def seconds(lowest: float) -> st.SearchStrategy[float]:
    plain = st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0, 1.5, 10.0, 60.0, 90.0, 3600.0, 86400.0, 86401.0])
    return plain.filter(lambda one: one >= lowest) | st.floats(lowest, LONGEST)


@st.composite
def stops(draw: st.DrawFn) -> tuple[tuple[int, float], ...]:
    steps = draw(st.lists(st.tuples(SIGNALS, seconds(0)), max_size=4))
    return (*steps, (9, draw(seconds(0))))


@st.composite
def limits(draw: st.DrawFn) -> dict[str, tuple[int, int]]:
    def pair() -> tuple[int, int]:
        soft, hard = sorted(draw(st.tuples(*[st.integers(0, LARGEST)] * 2)))
        chosen: tuple[int, int] = draw(st.sampled_from([(soft, hard), (soft, soft), (soft, -1), (-1, -1)]))
        return chosen

    return {name: pair() for name in draw(st.lists(st.sampled_from(list(LIMITS)), unique=True, max_size=4))}


COMMANDS = st.tuples(PATHS, TEXT)


def references() -> st.SearchStrategy[tuple[Reference, ...]]:
    conditions = st.sampled_from(["started", "ready", "completed"])
    one = st.builds(Reference, name=NAMES, condition=conditions)
    return st.lists(one, max_size=2, unique_by=lambda reference: reference.name).map(tuple)


@st.composite
def schedules(draw: st.DrawFn) -> dict[str, Any]:
    calendar = {
        "schedule_cron": st.sampled_from(["30 2 * * mon-fri", "@daily", "*/5 8-18 * * *"]),
        "schedule_timezone": st.sampled_from(["", "Europe/Berlin"]),
    }
    every = {"schedule_every": seconds(0.01)}
    timing: dict[str, st.SearchStrategy[Any]] = draw(st.sampled_from([{}, every, calendar]))
    others: dict[str, st.SearchStrategy[Any]] = {
        "schedule_missed": st.sampled_from(["skip", "run-once"]),
        "schedule_overlap": st.sampled_from(["skip", "queue", "replace"]),
        "schedule_timeout": seconds(0.01),
        "schedule_retries": st.integers(0, 1000),
        "schedule_at_start": st.booleans(),
    }
    return draw(st.fixed_dictionaries(timing, optional=others)) if timing else {}


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    values: dict[str, Any] = {
        "directory": PATHS,
        "umask": st.integers(0, 0o777),
        "environment": st.dictionaries(NAMES, TEXT, max_size=4),
        "environment_files": st.lists(PATHS | PATHS.map(lambda path: f"-{path}"), max_size=3).map(tuple),
        "user": NAMES,
        "group": NAMES,
        "groups": st.lists(NAMES, max_size=3).map(tuple),
        "secret_files": st.dictionaries(NAMES, PATHS, max_size=2),
        "after": references(),
        "requires": references(),
        "restart_with": st.lists(NAMES, unique=True, max_size=2).map(tuple),
        "ready": st.sampled_from(["exec", "notify", "fd:3", "fd:65535", "tcp://[::1]:80", "log:up|ready", "after:1s"]),
        "ready_then": st.sampled_from(["end", "go-on"]),
        "ready_interval": seconds(0.05),
        "ready_again": seconds(0.5),
        "alive_probe": st.sampled_from(["http://localhost/", "unix:/run/x", "exec:/bin/true 'a b'"]),
        "alive_interval": seconds(0.1),
        "alive_timeout": seconds(0.05),
        "alive_failures": st.integers(1, 1000),
        "alive_then": st.sampled_from(["restart", "stop", "tell"]),
        "watchdog": seconds(0.1),
        "max_age": seconds(1),
        "max_memory": st.integers(2**20, LARGEST),
        "before_start": COMMANDS,
        "after_exit": COMMANDS,
        "on_failure": COMMANDS | st.just(("", "tell-me")),
        "hook_timeout": seconds(0.1),
        "vital": st.booleans(),
        "pty": st.booleans(),
        "reload_command": COMMANDS,
        "log_to": st.lists(st.sampled_from(["file", "syslog", "journal"]), unique=True, min_size=1).map(tuple),
        "log_every": seconds(1),
        "log_total": st.integers(4096, LARGEST),
        "log_age": seconds(1),
        "cgroup_memory": st.integers(2**20, LARGEST),
        "cgroup_cpu": st.integers(1, 6400),
        "cgroup_tasks": st.integers(1, 2**22),
        "ready_timeout": seconds(0.1),
        "restart": st.sampled_from(["always", "on-failure", "never"]),
        "success": ENDINGS,
        "final": ENDINGS,
        "give_up_restarts": st.integers(0, 1000),
        "give_up_within": seconds(1),
        "give_up_then": st.sampled_from(["failed", "slowly"]),
        "give_up_every": seconds(1),
        "stop": stops(),
        "reload": SIGNALS,
        "log_size": st.integers(4096, LARGEST) | st.sampled_from([2**20, 5 * 2**30, 2**40]),
        "log_keep": st.integers(1, 1000),
        "log_compress": st.booleans(),
        "log_timestamps": st.booleans(),
        "log_separate_stderr": st.booleans(),
        "limits": limits(),
        "nice": st.integers(-20, 19),
        "oom_score": st.integers(-1000, 1000),
        "affinity": st.sets(st.integers(0, 100), min_size=1, max_size=8).map(lambda found: tuple(sorted(found))),
        "capabilities": st.lists(st.sampled_from(CAPABILITIES), unique=True, max_size=3).map(tuple),
        "no_new_privileges": st.booleans(),
        "start": st.booleans(),
    }
    wanted = draw(st.fixed_dictionaries({}, optional=values)) | draw(schedules())
    for lower, upper, lowest, least in (
        ("backoff_first", "backoff_longest", 0.01, 1.0),
        ("healthy_after", "forgiven_after", 0.5, 0.5),
    ):
        if draw(st.booleans()):
            wanted[lower] = draw(seconds(lowest))
            wanted[upper] = draw(seconds(max(least, wanted[lower])))
    return Definition(command=(draw(PATHS), *draw(st.lists(TEXT, max_size=3))), **wanted)
