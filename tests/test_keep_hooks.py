"""The commands of a daemon beside its own: when each runs, what it finds, and what follows from how it ends."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.keep import hooks
from numen.keep import life as lives
from numen.keep.decide import decide
from numen.keep.definitions.definition import NEVER, Definition
from numen.keep.kernel import AFTER_EXIT, BEFORE_START, ON_FAILURE, RELOAD
from numen.keep.life import Ask, Ending, ForgetQuestions, Life, ProcessId, Spawn, State

pytestmark = pytest.mark.once

MAIN = ProcessId(pid=10, start_time=1)

HOOK = ("/bin/hook",)


class Told:
    """One daemon, and what is decided for it."""

    def __init__(self, **options: Any) -> None:
        self.definition = Definition(command=("/bin/it",), **options)
        self.life = Life()
        self.now = 1000.0
        self.actions: tuple[lives.Action, ...] = ()

    def happens(self, *events: lives.Event) -> State:
        for event in events:
            before = self.life
            step = decide(self.definition, before, event, self.now, 0.5)
            self.life, self.actions = hooks.followed(self.definition, before, step)
        return self.life.state

    def ends(self, status: int) -> State:
        return self.happens(lives.Exited(process=MAIN, status=status), lives.FamilySeen(members=()))

    def comes_up(self) -> None:
        self.happens(lives.StartAsked(by="ann"))
        if BEFORE_START in self.life.hooks:
            self.happens(answered(BEFORE_START))
        self.happens(lives.Spawned(process=MAIN))
        self.now = self.life.deadline or self.now
        assert self.happens(lives.TimeCame()) is State.RUNNING
        self.now += 5.0

    def asked(self) -> Ask:
        (ask,) = (one for one in self.actions if isinstance(one, Ask))
        return ask

    def resume(self) -> None:
        """Let another supervisor go on with what was written down."""
        self.life = Life.from_record(self.life.record())
        self.happens(lives.Resumed())


def answered(kind: str, *, ok: bool = True) -> lives.Answered:
    return lives.Answered(kind=kind, ok=ok, message="exit status 1: no space left")


def test_nothing_is_spawned_before_the_command_has_succeeded() -> None:
    web = Told(before_start=HOOK, hook_timeout=7.0)
    assert web.happens(lives.StartAsked(by="ann")) is State.STARTING
    assert web.actions == (Ask(kind=BEFORE_START, timeout=7.0),)
    web.resume()
    assert web.actions == (Ask(kind=BEFORE_START, timeout=7.0),)
    web.happens(answered(BEFORE_START))

    assert list(web.actions) == [Spawn(is_prepared=True)]
    assert not web.life.hooks


def test_a_start_has_failed_when_the_command_has_and_is_tried_again_with_it() -> None:
    web = Told(before_start=HOOK)
    web.happens(lives.StartAsked(by="ann"))
    assert web.happens(answered(BEFORE_START, ok=False)) is State.BACKOFF
    assert str(web.life.ending) == "before_start: exit status 1: no space left"
    web.happens(lives.TimeCame())

    assert (web.asked().kind, web.life.restarts) == (BEFORE_START, 1)


def test_a_stop_while_it_runs_ends_it_and_no_process_follows() -> None:
    web = Told(before_start=HOOK, after_exit=HOOK)
    web.happens(lives.StartAsked(by="ann"))
    assert web.happens(lives.StopAsked(by="bob")) is State.STOPPING
    assert ForgetQuestions(kinds=(BEFORE_START,)) in web.actions
    web.resume()
    web.happens(answered(BEFORE_START))

    assert web.happens(lives.FamilySeen(members=())) is State.STOPPED


def test_after_an_end_the_command_knows_how_it_ended_and_the_next_start_waits_for_it() -> None:
    web = Told(after_exit=HOOK)
    web.comes_up()
    assert web.ends(3) is State.STOPPING
    assert web.asked() == Ask(kind=AFTER_EXIT, timeout=60.0, variables={"EXIT_CODE": "exited", "EXIT_STATUS": "3"})
    web.resume()
    assert web.asked().variables["EXIT_STATUS"] == "3"
    assert web.happens(lives.FamilySeen(members=())) is State.STOPPING

    assert web.happens(answered(AFTER_EXIT, ok=False)) is State.STARTING
    assert web.life.ending == Ending(status=3)


@pytest.mark.parametrize(
    ("status", "code", "told"), [(0, "exited", "0"), (-signal.SIGKILL, "killed", "KILL"), (None, None, None)]
)
def test_an_end_is_told_in_the_words_of_systemd(status: int | None, code: str | None, told: str | None) -> None:
    found = hooks.exit_variables(Ending(status=status))

    assert (found.get("EXIT_CODE"), found.get("EXIT_STATUS")) == (code, told)


def test_a_failure_for_good_is_told_once_with_its_reason() -> None:
    web = Told(on_failure=HOOK, restart=NEVER)
    web.comes_up()
    assert web.ends(3) is State.FAILED
    assert web.asked() == Ask(
        kind=ON_FAILURE, timeout=60.0, variables={"NUMEN_REASON": "exit status 3; restart is never"}
    )
    web.resume()
    assert web.asked().variables == {"NUMEN_REASON": "exit status 3; restart is never"}
    web.happens(answered(ON_FAILURE, ok=False))
    web.resume()
    assert web.actions == ()

    well = Told(on_failure=HOOK, restart=NEVER)
    well.comes_up()
    assert (well.ends(0), well.life.hooks) == (State.EXITED, ())


def test_a_reload_runs_the_command_instead_of_a_signal() -> None:
    web = Told(reload_command=HOOK)
    web.comes_up()
    web.happens(lives.ReloadAsked())
    assert web.actions == (Ask(kind=RELOAD, timeout=60.0, variables={"MAINPID": "10"}),)
    web.happens(lives.StopAsked(by="bob"))

    assert ForgetQuestions(kinds=(RELOAD,)) in web.actions
    assert web.life.hooks == ()


def named(**names: str) -> Callable[[str], Definition | None]:
    return {
        name: Definition(command=HOOK, on_failure=("", other) if other else None) for name, other in names.items()
    }.get


def test_a_daemon_that_is_started_on_failure_leads_nowhere_twice() -> None:
    circle = named(a="b", b="c", c="b", d="d", e="nobody", f="a", nil="")
    by_failure = f"{hooks.FAILURE_OF}z"

    assert [hooks.refusal(one, circle, "ann") for one in "abcf"] == ["", "", "", ""]
    assert [bool(hooks.refusal(one, circle, by_failure)) for one in "abcf"] == [False, True, True, False]
    assert "itself" in hooks.refusal("d", circle, "ann")
    assert "nobody" in hooks.refusal("e", circle, "ann")


EVENTS = st.sampled_from(
    [
        lives.StartAsked(by="ann"),
        lives.StopAsked(by="bob"),
        lives.RestartAsked(by="ann"),
        lives.ReloadAsked(),
        lives.ShutdownAsked(),
        lives.BecameReady(),
        lives.Exited(process=MAIN, status=1),
        lives.FamilySeen(members=()),
        lives.TimeCame(),
        lives.Resumed(),
        *(answered(kind, ok=ok) for kind in (BEFORE_START, AFTER_EXIT, ON_FAILURE, RELOAD) for ok in (True, False)),
    ]
)


@given(events=st.lists(EVENTS, max_size=40), restart=st.sampled_from(["always", NEVER]))
def test_in_any_life_each_start_has_its_command_before_it_and_each_end_after_it(
    events: list[lives.Event], restart: str
) -> None:
    web = Told(before_start=HOOK, after_exit=HOOK, on_failure=HOOK, reload_command=HOOK, restart=restart)
    is_prepared, is_owed = False, False
    for event in events:
        if isinstance(event, lives.Resumed):
            web.life = Life.from_record(web.life.record())
        is_good = isinstance(event, lives.Answered) and event.kind == BEFORE_START and event.ok
        is_prepared = is_good and BEFORE_START in web.life.hooks
        is_owed &= not (isinstance(event, lives.Answered) and event.kind == AFTER_EXIT and AFTER_EXIT in web.life.hooks)
        web.happens(event)
        if any(isinstance(one, Spawn) for one in web.actions):
            assert is_prepared
            assert not is_owed
            is_owed = True
            web.happens(lives.Spawned(process=MAIN) if web.life.state is State.STARTING else lives.Lost())
        if web.life.state in lives.RESTING:
            assert not is_owed
