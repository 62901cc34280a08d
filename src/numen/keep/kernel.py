"""The kernel as the supervisor sees it: one narrow interface, with a real side and a simulated one.

Whatever touches a process, a file or a clock goes through here, so that a supervisor can be killed before and after
each of its calls, thousands of times, in a simulation or for real. `real` is the real side; the simulated one belongs
to the tests; one contract test runs on both.
"""

from __future__ import annotations

from typing import Protocol

from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Any

    from .definitions.definition import Definition
    from .life import ProcessId


class Order(Record):
    """What is to be spawned."""

    name: str
    definition: Definition
    invocation: str


class Spawned(Record):
    """It was spawned: its program is being executed."""

    name: str
    invocation: str
    process: ProcessId


class NotSpawned(Record):
    """It could not be spawned."""

    name: str
    invocation: str
    failure: str
    """The step that failed and what the system said: `cannot execute /srv/web: Permission denied`."""


class Ended(Record):
    """A process has ended: a child of the supervisor's or of the keeper's, or another that was watched."""

    process: ProcessId
    status: int | None
    """The exit status, or the signal as a negative number; `None` where nobody can tell."""


class Ready(Record):
    """A daemon of the kind `fd:N` has written its newline."""

    name: str


class Message(Record):
    """A daemon of the kind `notify` has sent a notification; it came from a process of its user's."""

    name: str
    sender: ProcessId | None
    """Who sent it; `None` where that one is gone already."""
    assignments: dict[str, str]


READY, ALIVE, BEFORE_START, AFTER_EXIT, ON_FAILURE, RELOAD = (
    "ready",
    "alive",
    "before_start",
    "after_exit",
    "on_failure",
    "reload",
)
"""The kinds of questions: whether a probe's answer is good, or one of the daemon's commands succeeds."""

PROBES = (READY, ALIVE)


class Question(Record):
    """Something that is to be asked, or run, for a daemon without being it; a daemon has one of a kind at a time."""

    name: str
    invocation: str
    kind: str
    definition: Definition
    timeout: float
    """Seconds until the answer is bad; a command is ended then, with its process group."""
    variables: Mapping[str, str] = {}
    """What a command finds in its environment beside the daemon's."""


class Answered(Record):
    """The answer to a question."""

    name: str
    invocation: str
    kind: str
    ok: bool
    message: str = ""
    """Why it is bad, or the last line that a command has written."""
    status: int | None = None
    """How a command has ended, as in Ended."""


class ClockSet(Record):
    """The wall clock was set."""


Happening = Spawned | NotSpawned | Ended | Ready | Message | Answered | ClockSet


class Marks(Record):
    """By what the members of one daemon's family are known."""

    name: str
    invocation: str
    process: ProcessId | None
    """The main process; it need not live any more."""
    members: tuple[ProcessId, ...]
    """Those that were seen before."""


class Kernel(Protocol):
    """What the supervisor may do; none of it waits. A call that fails raises OSError where nothing else is said."""

    def monotonic(self) -> float:
        """CLOCK_MONOTONIC: seconds; the same for every process of this boot."""

    def wall(self) -> float:
        """The wall clock: seconds since the epoch."""

    def chance(self) -> float:
        """A random number in [0, 1)."""

    def new_invocation(self) -> str:
        """A random id: 32 hexadecimal digits."""

    def boot(self) -> str:
        """What is different after a reboot, and in another pid namespace."""

    def read_journal(self) -> list[dict[str, Any]]:
        """The records of the journal in order; a last one that was cut off by a kill is left out."""

    def write_journal(self, record: dict[str, Any]) -> None:
        """Append a record: it is there in whole if the call returns, whoever is killed afterwards."""

    def replace_journal(self, records: Iterable[dict[str, Any]]) -> None:
        """Let these be the journal, at once and in whole."""

    def read_wants(self) -> dict[str, Any]:
        """What write_wants() wrote last, in this boot or an earlier one."""

    def write_wants(self, wants: dict[str, Any]) -> None:
        """Keep what is wanted of the daemons, beyond a reboot."""

    def read_tasks(self) -> dict[str, Any]:
        """What write_task() wrote last of each task, in this boot or an earlier one."""

    def write_task(self, name: str, record: dict[str, Any] | None) -> None:
        """Keep how it stands with a task's schedule, beyond a reboot; `None`: nothing of it."""

    def wake_at_wall(self, wall: float | None) -> None:
        """Wake the supervisor when the wall clock shows this, and tell with ClockSet if that is set before; or not."""

    def read_endings(self) -> list[Ended]:
        """The endings that the keeper has seen while there was no supervisor to tell."""

    def forget_endings(self) -> None:
        """Let the keeper forget what read_endings() gave."""

    def spawn(self, order: Order) -> Spawned | NotSpawned | None:
        """Spawn a daemon, with its streams, its channel of readiness and NUMEN_INVOCATION in its environment.

        `None` where the outcome comes later, from poll().
        """

    def find(self, invocations: Collection[str]) -> dict[str, ProcessId]:
        """The living main process of each of these invocations, spawned by a supervisor that could not record it."""

    def is_alive(self, process: ProcessId) -> bool:
        """Whether that very process runs; a zombie does not."""

    def adopt(self, name: str, definition: Definition, invocation: str, process: ProcessId | None) -> None:
        """Hold a run of an earlier supervisor's: move its log, hear its readiness, and tell when `process` ends."""

    def watch(self, process: ProcessId) -> None:
        """Tell with Ended when a member of a family ends; at once if it has."""

    def send_signal(self, process: ProcessId, number: int) -> bool:
        """Send a signal; false where the process is gone."""

    def kill_group(self, invocation: str) -> None:
        """Kill at once all that is in the control group of a run, which most have not."""

    def families(self, marks: Sequence[Marks]) -> list[tuple[ProcessId, ...]]:
        """For each the living processes of its family, the main one not among them."""

    def memory(self, marks: Sequence[Marks], bounds: Sequence[int]) -> list[int]:
        """For each the bytes of memory and swap that its family uses.

        What it shares is counted once, but where it is below its bound: then the number may be too high, as long as it
        stays below.
        """

    def poll(self) -> Iterable[Happening]:
        """What has happened since the last call, each asked for when the former has been dealt with.

        A dead child stays a zombie until reap(), which is called for each Ended; a newline or a notification is taken
        out only when the next happening is asked for. So nothing is lost if the supervisor is killed before it has
        written down what it was told. A daemon's Spawned comes before all else that it does; its Ended may have come
        before that too, as a stranger's, and comes again.
        """

    def reap(self, process: ProcessId) -> None:
        """The ending is recorded: let the kernel, or the keeper, forget it. Nothing where it is no child."""

    def ask(self, question: Question) -> None:
        """Have a question answered; the answer comes from poll(), once, unless this supervisor is killed before that.

        One of the same daemon and kind that is still open is forgotten.
        """

    def change_logs(self, name: str, definition: Definition) -> None:
        """Keep the logs of a run from here on as this definition says, as far as that needs no new run."""

    def forget_questions(self, name: str, kinds: Collection[str] = ()) -> None:
        """The answers are not wanted any longer: end what is being run for them. Without `kinds` it is all of them."""

    def release(self, name: str, definition: Definition | None) -> None:
        """Nothing of this daemon runs: close what is held open for it, once its log is moved.

        Also that of an earlier supervisor; `definition` is `None` where the daemon is removed.
        """

    def tell(self, line: str) -> None:
        """Write a line to the supervisor's own log."""
