"""The difference between two sets of definitions."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from definitions import definitions
from numen.keep.definitions.comparison import Changes, compare, difference
from numen.keep.definitions.definition import Definition
from numen.keep.definitions.keys import BY_NAME, KEYS
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
    "ready": "notify",
    "ready_timeout": 1.0,
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
    "log.size": 4096,
    "log.keep": 1,
    "log.compress": True,
    "log.timestamps": True,
    "log.separate_stderr": True,
    "limits": {"open-files": (1, 1)},
    "nice": 1,
    "oom_score": 1,
    "affinity": (0,),
    "capabilities": (),
    "no_new_privileges": True,
    "start": False,
}

NEEDS_NO_RESTART = {
    *("ready_timeout", "restart", "success", "final", "healthy_after", "forgiven_after", "stop", "reload", "start"),
    *("backoff.first", "backoff.longest", "give_up.restarts", "give_up.within", "give_up.then", "give_up.every"),
    *("log.size", "log.keep", "log.compress"),
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
