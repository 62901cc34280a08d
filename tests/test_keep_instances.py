"""Instances: one table of a set that stands for several daemons, and what others say of all of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numen.errors import BadDefinition, BadOption
from numen.keep.definitions.instances import numbered
from numen.keep.definitions.sets import DaemonSet, from_text

pytestmark = pytest.mark.once

TRUE = 'command = ["/bin/true"]'


def read(text: str) -> DaemonSet:
    return from_text(text.encode(), "/srv/numen.toml")


def mistakes(text: str) -> list[tuple[int, int, str, str]]:
    """Line, column, key and message of each."""
    with pytest.raises(BadDefinition) as caught:
        read(text)
    error = caught.value
    return [
        (line, column, key, told) for (_, line, column), (key, told) in zip(error.places, error.mistakes, strict=True)
    ]


def test_a_table_with_instances_is_so_many_daemons_each_with_its_number() -> None:
    found = read("""
        [daemon.worker]
        instances = 3
        command = ["/bin/echo", "worker-%i", "100%%"]
        environment = { "PORT" = "800%i" }
        directory = "/srv/%i"
        ready = "tcp://127.0.0.1:800%i"
        nice = 1
    """)

    assert list(found.definitions) == ["worker@1", "worker@2", "worker@3"]
    assert found.instances == {"worker": 3}
    second = found.definitions["worker@2"]
    assert second.command == ("/bin/echo", "worker-2", "100%")
    assert second.environment == {"PORT": "8002"}
    assert (second.directory, second.ready, second.nice) == ("/srv/2", "tcp://127.0.0.1:8002", 1)


def test_elsewhere_a_percent_sign_is_plain() -> None:
    found = read("""
        [defaults]
        environment = { DATE = "%i-%Y" }
        [daemon.web]
        command = ["/bin/date", "+%i"]
        [daemon.worker]
        instances = 1
        command = ["/bin/true"]
    """)

    assert found.definitions["web"].command == ("/bin/date", "+%i")
    assert found.definitions["worker@1"].environment == {"DATE": "%i-%Y"}


def test_there_may_be_none_and_then_nobody_waits_for_them() -> None:
    found = read(f'[daemon.worker]\ninstances = 0\n{TRUE}\n[daemon.web]\n{TRUE}\nrequires = ["worker"]\n')

    assert list(found.definitions) == ["web"]
    assert found.definitions["web"].requires == ()
    assert found.instances == {"worker": 0}


def test_who_names_the_table_means_all_its_instances() -> None:
    found = read(f"""
        [daemon.worker]
        instances = 2
        {TRUE}
        restart_with = ["db"]
        [daemon.db]
        {TRUE}
        [daemon.web]
        {TRUE}
        after = ["db", {{ name = "worker", condition = "started" }}, "worker@2"]
        restart_with = ["worker@2", "worker"]
        [daemon.one]
        {TRUE}
        requires = ["worker@1"]
    """)

    web = found.definitions["web"]
    assert [(one.name, one.condition) for one in web.after] == [
        ("db", "ready"), ("worker@1", "started"), ("worker@2", "started")
    ]  # fmt: skip
    assert web.restart_with == ("worker@2", "worker@1")
    assert [one.name for one in found.definitions["one"].requires] == ["worker@1"]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (f"[daemon.a]\n{TRUE}\ninstances = -1", [(3, 1, "daemon.a.instances")]),
        (f"[daemon.a]\n{TRUE}\ninstances = true\nnice = 99", [(3, 1, "daemon.a.instances"), (4, 1, "daemon.a.nice")]),
        (f"[daemon.a]\ninstances = 9\n{TRUE}\nnice = 99", [(4, 1, "daemon.a.nice")]),
        (
            f"[daemon.a]\ninstances = 0\n{TRUE}\nnise = 9\nafter = ['b']",
            [(4, 1, "daemon.a.nise"), (5, 10, "daemon.a.after")],
        ),
        ("[daemon.a]\ninstances = 9\ncommand = ['/bin/true', '%d']", [(3, 1, "daemon.a.command")]),
        (
            "[daemon.a]\ninstances = 2\n\nenvironment = { A = '%i', B = '5%' }",
            [(1, 9, "daemon.a.command"), (4, 27, "daemon.a.environment")],
        ),
        (f"[daemon.a]\ninstances = 20\n{TRUE}\numask = '00%i'", [(4, 1, "daemon.a.umask")]),
        (f"[daemon.a]\ninstances = 2\n{TRUE}\n[daemon.'a@2']\n{TRUE}", [(4, 9, 'daemon."a@2"')]),
        (f"[daemon.a]\ninstances = 2\n{TRUE}\nafter = ['a']", [(4, 10, "daemon.a.after")]),
        (f"[daemon.a]\ninstances = 2\n{TRUE}\n[daemon.b]\n{TRUE}\nafter = ['a@3']", [(6, 10, "daemon.b.after")]),
        (f"[daemon.a]\ninstances = 2\n{TRUE}\n[daemon.b]\n{TRUE}\non_failure = 'a'", [(6, 1, "daemon.b.on_failure")]),
        (f"[defaults]\ninstances = 2\n[daemon.a]\n{TRUE}", [(2, 1, "defaults.instances")]),
        (f"[daemon.{'x' * 99}]\ninstances = 2\n{TRUE}", [(2, 1, f"daemon.{'x' * 99}.instances"[:60])]),
    ],
)
def test_each_mistake_is_told_once_where_it_stands(text: str, places: list[tuple[int, int, str]]) -> None:
    assert [(line, column, key[:60]) for line, column, key, _ in mistakes(text)] == places


def test_one_of_several_instances_is_to_be_named_where_one_alone_can_be_meant() -> None:
    text = f"[daemon.a]\ninstances = 2\n{TRUE}\n[daemon.b]\n{TRUE}\non_failure = 'a'"

    ((*_, message),) = mistakes(text)
    assert message == "there are instances of a; name one of them, a@1"


@settings(max_examples=200)
@given(st.text("a%i\n7"), st.integers(1, 1000))
def test_a_text_whose_percent_signs_are_doubled_comes_back_with_none_of_them_changed(text: str, number: int) -> None:
    assert numbered([{"a": text.replace("%", "%%")}], number) == [{"a": text}]
    try:
        assert numbered(text, number).count(str(number)) >= text.count("%i") - text.count("%%")
    except BadOption:
        assert "%" in text
