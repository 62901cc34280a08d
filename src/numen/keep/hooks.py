"""The commands of a daemon beside its own: before a start, after an end, on failure, for a reload; pure, as `decide`.

Which of them run, or are about to, stands in `life.hooks`, so that the next supervisor has them run again: each runs at
least once. The invocation that a command is run for is that of the life.
"""

from __future__ import annotations

from ..settings.signals import signal_name
from .kernel import AFTER_EXIT, BEFORE_START, ON_FAILURE, RELOAD
from .life import Ask, ForgetQuestions, LookForFamily, Spawn, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .definitions.definition import Definition
    from .life import Action, Answered, Ending, Life

    Step = tuple[Life, tuple[Action, ...]]

FAILED_NAME, FAILED_REASON, MAIN_PID = "NUMEN_FAILED", "NUMEN_REASON", "MAINPID"
EXIT_CODE, EXIT_STATUS = "EXIT_CODE", "EXIT_STATUS"
"""The variables that a command finds."""

FAILURE_OF = "the failure of "
"""How it begins who has asked for a start on failure."""

NOT_GOOD = ("failed", "timeout", "lost")
"""The outcomes of a task's run that are failures, as `schedule.state` has them."""

ENDED = "it was ended during its before_start"


def command_of(definition: Definition, kind: str) -> tuple[str, ...] | None:
    """What is run; `None` where nothing is."""
    found: dict[str, tuple[str, ...] | None] = {
        BEFORE_START: definition.before_start,
        AFTER_EXIT: definition.after_exit,
        ON_FAILURE: None if other_on_failure(definition) else definition.on_failure,
        RELOAD: definition.reload_command,
    }
    return found[kind]


def other_on_failure(definition: Definition) -> str:
    """The daemon that is started when it has failed for good; empty where there is none."""
    named = definition.on_failure
    return named[1] if named is not None and not named[0] else ""


# What follows from a step


def followed(definition: Definition, before: Life, step: Step) -> Step:
    """The step, with what follows from it here: a command before the spawn, and one when all has failed."""
    after, actions = step
    # A task's run may have been replaced in the step in which it began: then it is not spawned either.
    if definition.before_start is not None and after.state is State.STARTING and is_new_run(actions):
        after = after.replace(hooks=(BEFORE_START,))
        actions = (*(one for one in actions if not _begins(one)), _ask(definition, after, BEFORE_START))
    if RELOAD in after.hooks and after.state is not State.RUNNING:
        after = after.replace(hooks=tuple(one for one in after.hooks if one != RELOAD))
        actions = (*actions, ForgetQuestions(kinds=(RELOAD,)))
    if definition.on_failure is not None and _has_failed(before, after):
        after = after.replace(hooks=(*after.hooks, ON_FAILURE))
        if command_of(definition, ON_FAILURE) is not None:
            actions = (*actions, _ask(definition, after, ON_FAILURE))
    return after, actions


def is_new_run(actions: tuple[Action, ...]) -> bool:
    """Whether a run begins with these, which needs an invocation of its own."""
    return any(_begins(action) for action in actions)


def _begins(action: Action) -> bool:
    return isinstance(action, Spawn) and not action.is_prepared


def _has_failed(before: Life, after: Life) -> bool:
    """Whether it has come to where it is not tried again; a task, whether a run has that is not tried again."""
    if after.task is None:
        return after.state is State.FAILED and before.state is not State.FAILED
    known = before.task.history if before.task is not None else ()
    new = [one for one in after.task.history if one.number is not None and one not in known]
    return bool(new) and new[-1].outcome in NOT_GOOD and after.task.retry_at is None


# What `decide` does


def on_before_start(life: Life) -> Step:
    """It has succeeded: spawn the daemon."""
    return life.replace(hooks=()), (Spawn(is_prepared=True),)


def on_stopped_before_start(life: Life, ending: Ending, now: float) -> Step:
    """It is stopped while that runs: no process has come of this run."""
    ended = life.replace(ended_at=now, ending=ending)
    return ended, (ForgetQuestions(kinds=(BEFORE_START,)), LookForFamily())


def is_to_follow(definition: Definition, life: Life) -> bool:
    """Whether after_exit comes now that the family is gone."""
    return definition.after_exit is not None and not life.hooks


def on_gone(definition: Definition, life: Life) -> Step:
    """The family is gone: run after_exit."""
    gone = life.replace(hooks=(AFTER_EXIT,), deadline=None)
    return gone, (_ask(definition, gone, AFTER_EXIT),)


def on_reload_asked(definition: Definition, life: Life) -> Step:
    """Run the command; one that still runs is ended, for it may have read what has changed since."""
    asked = life.replace(hooks=(RELOAD,))
    return asked, (_ask(definition, asked, RELOAD),)


def on_answered(life: Life, event: Answered) -> Life:
    """One that nothing waits for has ended."""
    return life.replace(hooks=tuple(kind for kind in life.hooks if kind != event.kind))


def on_resumed(definition: Definition, step: Step) -> Step:
    """Have run again what died with the last supervisor."""
    life, actions = step
    if BEFORE_START in life.hooks and life.state is State.STOPPING:
        return step  # it was ended
    return life, (*actions, *(_ask(definition, life, kind) for kind in life.hooks if not _is_other(definition, kind)))


def _is_other(definition: Definition, kind: str) -> bool:
    """Whether it is no command, but a daemon that is to be started."""
    return kind == ON_FAILURE and bool(other_on_failure(definition))


# What they find in their environment


def variables(kind: str, life: Life) -> Mapping[str, str]:
    """What a command finds there beside what the daemon would."""
    if kind == AFTER_EXIT:
        return exit_variables(life.ending)
    if kind == ON_FAILURE:
        return {FAILED_REASON: reason(life)}
    return {MAIN_PID: str(life.process.pid)} if kind == RELOAD and life.process is not None else {}


def exit_variables(ending: Ending | None) -> Mapping[str, str]:
    """How the main process has ended, in the words of systemd.exec(5); nothing where nobody can tell."""
    status = None if ending is None else ending.status
    if status is None:
        return {}
    if status >= 0:
        return {EXIT_CODE: "exited", EXIT_STATUS: str(status)}
    return {EXIT_CODE: "killed", EXIT_STATUS: signal_name(-status).removeprefix("SIG")}


def reason(life: Life) -> str:
    """Why it has failed, in words."""
    if life.task is not None:
        ended = [one for one in life.task.history if one.number is not None]
        told = [ended[-1].outcome, ended[-1].reason] if ended else []
    else:
        told = [str(life.ending), life.reason]
    return "; ".join(one for one in told if one)


def _ask(definition: Definition, life: Life, kind: str) -> Ask:
    return Ask(kind=kind, timeout=definition.hook_timeout, variables=variables(kind, life))


# Who is started on failure


def refusal(name: str, definition_of: Callable[[str], Definition | None], by: str) -> str:
    """Why the daemon that another one names is not started when that one, which `by` has started, has failed."""
    definition = definition_of(name)
    other = "" if definition is None else other_on_failure(definition)
    if other == name:
        return "it is itself what is to be started when it has failed"
    if definition_of(other) is None:
        return f"{other} is to be started, and there is no such daemon"
    if not by.startswith(FAILURE_OF):
        return ""
    seen = {name}
    while other and other not in seen:
        seen.add(other)
        definition = definition_of(other)
        other = "" if definition is None else other_on_failure(definition)
    return f"a failure has led from {name} back to it, and is followed no further" if other == name else ""
