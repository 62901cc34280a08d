"""Steps 6 and 8: dead children are reaped, and signals reach the process."""

from __future__ import annotations

from signal import SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM

from ...settings.signals import signal_name
from ..verdict import fault, ok, rule, unknown, warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ..facts import Facts
    from ..verdict import Judgement

MANY_ZOMBIES = 10
"""From here on it is no accident: each one takes a place in the table of processes."""

_JUDGED_BY_NAME = frozenset({SIGTERM, SIGHUP, SIGCHLD})

_STATES = {"R": "running", "S": "sleeping", "D": "waiting for a device", "I": "idle", "t": "stopped by its tracer"}


@rule(
    step="6",
    title="no zombies",
    why="A child that has died stays in the table of processes until its parent waits for it, and the table"
    " has an end.",
    remedy="Wait for each child that ends (waitpid(2)), or ignore SIGCHLD, so that the kernel reaps them.",
)
def no_zombies(facts: Facts) -> Judgement:
    """It has waited for each of its dead children."""
    dead = sorted(one.pid for one in facts.zombies)
    if not dead:
        return ok("none of its children is a zombie")
    named = ", ".join(str(pid) for pid in dead[:MANY_ZOMBIES]) + (", …" if len(dead) > MANY_ZOMBIES else "")
    evidence = f"{len(dead)} of its children, pid {named}, died and were not waited for"
    return fault(evidence) if len(dead) >= MANY_ZOMBIES else warning(evidence)


@rule(
    step="6",
    title="it hears of its children's deaths",
    why="Where SIGCHLD is blocked, as it may be inherited from a launcher, children that die become zombies unnoticed.",
    remedy="Unblock SIGCHLD at the start (sigprocmask(2)), or take it from a signalfd(2).",
)
def child_deaths_heard(facts: Facts) -> Judgement:
    """SIGCHLD reaches it."""
    if SIGCHLD in facts.status.ignored:
        return ok("SIGCHLD is ignored: the kernel reaps its children")
    if SIGCHLD in facts.blocked_everywhere and _waits_for_a_child(facts):
        return ok("SIGCHLD is blocked while it waits for a child")
    return _judge_blocked(facts, SIGCHLD) or ok(_disposition(facts, SIGCHLD))


def _waits_for_a_child(facts: Facts) -> bool:
    """Whether it looks like bash, or a program in system(3): they block SIGCHLD for as long as they wait themselves."""
    status = facts.status
    if not facts.descendants or facts.zombies or SIGCHLD in status.pending:
        return False
    return SIGCHLD in status.caught or status.ignored >= {SIGINT, SIGQUIT}


@rule(
    step="8",
    title="SIGTERM ends it",
    why="SIGTERM is how everybody asks a daemon to end. One that does not hear it is killed with SIGKILL, and"
    " cannot tidy up.",
    remedy="Catch SIGTERM and end in order, or leave it at its default; reset what was inherited before the"
    " program starts.",
)
def ends_at_sigterm(facts: Facts) -> Judgement:
    """SIGTERM reaches it, and does something."""
    if SIGTERM in facts.status.ignored:
        return fault("SIGTERM is ignored")
    # The kernel spares the first process of a pid namespace what would end it by default (pid_namespaces(7)).
    is_first = facts.status.pids[-1:] == (1,)
    if is_first and SIGTERM not in facts.status.caught and SIGTERM not in facts.blocked_everywhere:
        return fault("SIGTERM is at its default, which does not end the first process of a pid namespace")
    return _judge_blocked(facts, SIGTERM, say=fault) or ok(_disposition(facts, SIGTERM))


@rule(
    step="8",
    title="SIGHUP reaches it",
    why="SIGHUP asks a daemon to read its configuration again. Where it is blocked, who sends it waits in vain.",
    remedy="Unblock SIGHUP at the start; catch it to reload, or ignore it.",
)
def reloads_at_sighup(facts: Facts) -> Judgement:
    """SIGHUP is not held back."""
    if SIGHUP in facts.status.ignored:
        return ok("SIGHUP is ignored")
    return _judge_blocked(facts, SIGHUP) or ok(_disposition(facts, SIGHUP))


@rule(
    step="8",
    title="SIGPIPE does not end it",
    why="Who writes to a connection that the other side has closed gets SIGPIPE, and by default dies of it: any client"
    " could end the daemon.",
    remedy="Ignore SIGPIPE, and handle the error EPIPE of write(2); MSG_NOSIGNAL of send(2) will do as well.",
)
def survives_sigpipe(facts: Facts) -> Judgement:
    """It takes no connections while SIGPIPE is at its default."""
    status = facts.status
    if SIGPIPE in status.ignored | status.caught | facts.blocked_everywhere:
        return ok(_disposition(facts, SIGPIPE))
    if facts.descriptors is None:
        return unknown(f"{_disposition(facts, SIGPIPE)}, and its sockets may not be seen")
    listening = next((one for one in facts.listening() if one.is_stream), None)
    if listening is None:
        return ok(f"{_disposition(facts, SIGPIPE)}, and it takes no connections")
    place = f"{listening.family} port {listening.port}" if listening.is_of_network else listening.address or "a socket"
    return warning(f"{_disposition(facts, SIGPIPE)}, and it takes connections on {place}")


@rule(
    step="8",
    title="no signal waits",
    why="A signal that was sent and is blocked in every thread has no effect, and who sent it does not know.",
    remedy="Unblock the signal in one thread, or take it with sigwaitinfo(2) or a signalfd(2).",
)
def takes_signals(facts: Facts) -> Judgement:
    """No signal is pending that it would never take."""
    waiting = (facts.status.pending & facts.blocked_everywhere) - _JUDGED_BY_NAME
    if waiting and facts.descriptors is None:
        return unknown(f"{_named(waiting)} waits, and whether a signalfd takes it may not be seen")
    lost = [number for number in waiting if not _is_taken(facts, number)]
    if lost:
        return warning(f"{_named(lost)} was sent, and every thread blocks it")
    return ok("none is pending")


@rule(
    step="8",
    title="not stopped",
    why="A stopped process answers nobody, not even SIGTERM, until it is continued.",
    remedy="Continue it: `kill -CONT PID`.",
)
def not_stopped(facts: Facts) -> Judgement:
    """It runs, or sleeps."""
    state = facts.stat.state
    if state == "T":
        return fault("it is stopped (state T), as SIGSTOP or a terminal's ^Z does")
    return ok(f"it is {_STATES.get(state, 'alive')} (state {state})")


@rule(
    step="8",
    title="not traced",
    why="Who traces a process stops it at each signal, sees all that it does, and may change it.",
    remedy="End the debugger or tracer, such as gdb or strace.",
)
def not_traced(facts: Facts) -> Judgement:
    """Nobody traces it."""
    if facts.status.tracer:
        return warning(f"pid {facts.status.tracer} traces it")
    if facts.stat.state == "t":
        return warning("its tracer has stopped it (state t)")
    return ok("nobody traces it")


def _judge_blocked(facts: Facts, number: int, say: Callable[[str], Judgement] = warning) -> Judgement | None:
    """What is to be said of a signal because it is blocked; `None` where it is not, or a signalfd takes it."""
    if number not in facts.blocked_everywhere or _is_taken(facts, number):
        return None
    if facts.descriptors is None:
        return unknown(f"{signal_name(number)} is blocked, and whether a signalfd takes it may not be seen")
    return say(f"every thread blocks {signal_name(number)}, and no signalfd takes it")


def _is_taken(facts: Facts, number: int) -> bool:
    return any(number in one.signals for one in (facts.descriptors or {}).values())


def _named(numbers: Collection[int]) -> str:
    return ", ".join(signal_name(number) for number in sorted(numbers))


def _disposition(facts: Facts, number: int) -> str:
    status = facts.status
    if number in facts.blocked_everywhere:
        word = "taken from a signalfd" if _is_taken(facts, number) else "blocked"
    else:
        word = "caught" if number in status.caught else "ignored" if number in status.ignored else "at its default"
    return f"{signal_name(number)} is {word}"
