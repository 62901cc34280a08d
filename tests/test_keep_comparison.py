"""The difference between two sets of definitions."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from definitions import definitions
from numen.keep.definitions.comparison import Changes, compare, difference
from numen.keep.definitions.definition import Definition
from numen.keep.definitions.keys import BY_NAME, KEYS
from numen.keep.definitions.references import Reference
from numen.keep.definitions.tables import to_table

WEB = Definition(command=("/bin/true",), environment={"PORT": "1"})

OTHER: dict[str, Any] = {
    "command": ("/bin/false",),
    "directory": "/srv",
    "umask": 0,
    "environment": {"PORT": "2"},
    "environment_files": ("/a",),
    "user": "ann",
    "group": "adm",
    "groups": (),
    "secret_files": {"TOKEN": "/a"},
    "after": (Reference(name="db"),),
    "requires": (Reference(name="db", condition="started"),),
    "restart_with": ("db",),
    "ready": "notify",
    "ready_timeout": 1.0,
    "ready_then": "go-on",
    "ready_interval": 1.0,
    "ready_again": 1.0,
    "alive.probe": "tcp://localhost:80",
    "alive.interval": 1.0,
    "alive.timeout": 1.0,
    "alive.failures": 1,
    "alive.then": "tell",
    "watchdog": 1.0,
    "max_age": 60.0,
    "max_memory": 2**20,
    "schedule.every": 60.0,
    "schedule.cron": "@daily",
    "schedule.timezone": "Europe/Berlin",
    "schedule.jitter": 1.0,
    "schedule.missed": "run-once",
    "schedule.overlap": "queue",
    "schedule.timeout": 60.0,
    "schedule.retries": 1,
    "schedule.retry_first": 2.0,
    "schedule.retry_longest": 90.0,
    "schedule.at_start": True,
    "before_start": ("/bin/true",),
    "after_exit": ("/bin/true",),
    "on_failure": ("", "db"),
    "hook_timeout": 1.0,
    "vital": True,
    "pty": True,
    "restart": "never",
    "success": (0,),
    "final": (1,),
    "backoff.first": 1.0,
    "backoff.longest": 60.0,
    "healthy_after": 2.0,
    "forgiven_after": 90.0,
    "give_up.restarts": 5,
    "give_up.within": 5.0,
    "give_up.then": "slowly",
    "give_up.every": 5.0,
    "stop": ((9, 10.0),),
    "reload": 10,
    "reload_command": ("/bin/true",),
    "log.to": ("syslog",),
    "log.size": 4096,
    "log.keep": 1,
    "log.every": 60.0,
    "log.total": 4096,
    "log.age": 60.0,
    "log.compress": True,
    "log.timestamps": True,
    "log.separate_stderr": True,
    "limits": {"open-files": (1, 1)},
    "nice": 1,
    "oom_score": 1,
    "affinity": (0,),
    "capabilities": (),
    "no_new_privileges": True,
    "cgroup.memory": 2**20,
    "cgroup.cpu": 50,
    "cgroup.tasks": 9,
    "source": "/srv/numen.toml",
    "start": False,
}

NEEDS_NO_RESTART = {
    *("after", "requires", "restart_with", "start", "source"),
    *("ready_timeout", "ready_then", "ready_interval", "ready_again", "max_age", "max_memory"),
    *("alive.probe", "alive.interval", "alive.timeout", "alive.failures", "alive.then"),
    *("schedule.every", "schedule.cron", "schedule.timezone", "schedule.jitter", "schedule.missed", "schedule.overlap"),
    *("schedule.timeout", "schedule.retries", "schedule.retry_first", "schedule.retry_longest", "schedule.at_start"),
    *("before_start", "after_exit", "on_failure", "hook_timeout", "vital", "reload", "reload_command", "stop"),
    *("restart", "success", "final", "healthy_after", "forgiven_after"),
    *("backoff.first", "backoff.longest", "give_up.restarts", "give_up.within", "give_up.then", "give_up.every"),
    *("log.to", "log.size", "log.keep", "log.every", "log.total", "log.age", "log.compress"),
}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_each_key_that_changes_is_told_and_whether_it_needs_a_restart(key: Any) -> None:
    change = difference(WEB, WEB.replace(**{key.field: OTHER[key.name]}))

    assert change
    assert change.keys == (key.name,)
    assert change.needs_restart == (key.name not in NEEDS_NO_RESTART)


def test_one_key_that_needs_a_restart_is_enough() -> None:
    change = difference(WEB, WEB.replace(log_size=4096, umask=0))

    assert change
    assert (change.keys, change.needs_restart) == (("umask", "log.size"), True)


def test_each_name_is_unchanged_added_removed_or_changed() -> None:
    old = {"same": WEB, "gone": WEB, "other": WEB}
    new = {"other": WEB.replace(log_keep=9), "new": WEB, "same": WEB.replace(umask=0o022)}

    changes = compare(old, new)

    assert (changes.unchanged, changes.added, changes.removed) == (("same",), ("new",), ("gone",))
    assert {name: (one.keys, one.needs_restart) for name, one in changes.changed.items()} == {
        "other": (("log.keep",), False)
    }


def test_a_key_that_is_gone_is_a_change_back_to_its_default() -> None:
    change = difference(WEB.replace(nice=5), WEB)

    assert change
    assert change.keys == ("nice",)


SETS = st.dictionaries(st.sampled_from("abc"), definitions(), max_size=3)


@settings(max_examples=100)
@given(SETS, SETS, st.booleans())
def test_what_is_told_is_all_that_leads_from_one_to_the_other(
    old: dict[str, Definition], new: dict[str, Definition], share: bool
) -> None:
    if share and old:
        new = {**new, next(iter(old)): next(iter(old.values()))}

    changes = compare(old, new)

    assert sorted([*changes.unchanged, *changes.removed, *changes.changed]) == sorted(old)
    assert sorted([*changes.unchanged, *changes.added, *changes.changed]) == sorted(new)
    reached = {name: old[name] for name in changes.unchanged} | {name: new[name] for name in changes.added}
    for name, change in changes.changed.items():
        fields = [BY_NAME[key].field for key in change.keys]
        reached[name] = old[name].replace(**{field: getattr(new[name], field) for field in fields})
    assert reached == new
    assert all(to_table(old[name]) == to_table(new[name]) for name in changes.unchanged)
    assert compare(new, new) == Changes(unchanged=tuple(new))
