"""`numen up`: daemons in the foreground, their output, their end; also as PID 1, and with everything killed."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import observe
from numen.cli.foreground import changes, project, verdict
from numen.keep.definitions.definition import Definition
from numen.keep.definitions.references import Reference
from processes import Reaper, numen_command, run_numen, wait_for

DEADLINE = 30.0

SLEEPER = '["/bin/sh", "-c", "echo $NUMEN_NAME is here; exec sleep 1000"]'


def write(place: Path, **daemons: str) -> Path:
    """A file that defines these, each by the text of its table."""
    path = place / "numen.toml"
    path.write_text("".join(f"[daemon.{name}]\n{text}\n" for name, text in daemons.items()))
    path.chmod(0o644)
    return path


def command(script: str) -> str:
    return f"command = ['/bin/sh', '-c', '''{script}''']"


class Up:
    """A run in a session of its own, without a terminal."""

    def __init__(self, reaper: Reaper, place: Path, *options: str, before: tuple[str, ...] = (), **more: Any) -> None:
        argv = [*before, str(numen_command()), "up", *options]
        self.told = place / "told.log"
        with self.told.open("wb") as told:
            self.process = subprocess.Popen(
                argv, cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=told,
                start_new_session=True, **more,
            )  # fmt: skip
        reaper.track(self.process.pid)
        self.reaper = reaper
        self.read = b""

    def wait_for(self, text: str) -> None:
        """Wait until that has been printed."""
        assert self.process.stdout is not None
        poll = select.poll()
        poll.register(self.process.stdout, select.POLLIN)
        while text.encode() not in self.read:
            assert poll.poll(DEADLINE * 1000), (text, self.read, self.told.read_text())
            more = os.read(self.process.stdout.fileno(), 65536)
            assert more, (text, self.read, self.told.read_text())
            self.read += more

    def wait_until_told(self, text: str) -> None:
        wait_for(lambda: text in self.told.read_text(), DEADLINE, f"{text}: {self.told.read_text()}")

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal, and wait for the end; the exit status."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        output, _ = self.process.communicate(timeout=DEADLINE)
        self.read += output
        return self.process.returncode

    def home(self) -> Path:
        (found,) = Path(os.environ["TMPDIR"]).glob("numen-up-*")
        return found

    def keeper(self) -> int:
        return int((self.home() / "run" / "keeper.lock").read_text())


def sleepers(place: Path, **more: str) -> Path:
    return write(place, web=f"command = {SLEEPER}", worker=f"command = {SLEEPER}", **more)


# What is decided


def definition(**values: Any) -> Definition:
    return Definition(command=("/bin/true",), **values)


@pytest.mark.once
def test_what_is_named_is_started_with_what_it_requires() -> None:
    definitions = {
        "db": definition(),
        "cache": definition(start=False),
        "web": definition(requires=(Reference(name="db"),)),
        "mail": definition(),
    }

    assert project.choose(definitions, []) == ("db", "web", "mail")
    assert project.choose(definitions, ["w*"]) == ("db", "web")
    assert project.choose(definitions, ["cache"]) == ("cache",)


@pytest.mark.once
def test_the_environment_of_up_lies_beneath_that_of_a_definition() -> None:
    callers = {"A": "1", "B": "2", "HOME": "/home/me", "NUMEN_HOME": "/x", "NOTIFY_SOCKET": "/y"}
    own = project.adapted(definition(environment={"B": "3"}), callers, source="/f")
    anothers = project.adapted(definition(user="www-data"), callers, source="/f")

    assert own.environment == {"A": "1", "B": "3", "HOME": "/home/me"}
    assert anothers.environment == {"A": "1", "B": "2"}


def report(state: str, status: int | None = None, since: float = 0.0) -> dict[str, Any]:
    return {"state": state, "ending_status": status, "since": since}


@pytest.mark.once
def test_the_vital_one_ends_all_with_its_status_and_the_first_failure_counts_where_all_have_ended() -> None:
    definitions = {"a": definition(vital=True), "b": definition()}

    assert verdict.vital_end(definitions, {"a": report("running"), "b": report("failed", 3)}) is None
    assert verdict.vital_end(definitions, {"a": report("exited", 0)}) == 0
    assert verdict.vital_end(definitions, {"a": report("failed", -9)}) == 128 + 9
    assert verdict.vital_end(definitions, {"a": report("failed", 0)}) == 1
    assert verdict.all_ended({"a": report("failed", 3), "b": report("backoff")}) is None
    assert verdict.all_ended({"a": report("failed", 3, 2.0), "b": report("failed", 4, 1.0)}) == 4
    assert verdict.all_ended({"a": report("exited", 0), "b": report("waiting")}) == 0


@pytest.mark.once
def test_a_change_concerns_those_in_whose_directory_it_is() -> None:
    definitions = {
        "web": definition(directory="/srv/app/web"),
        "root": definition(),
        "task": definition(schedule_every=60.0),
    }
    ours = project.Project(path="/srv/app/numen.toml", definitions=definitions, chosen=tuple(definitions))

    assert changes.touched(ours, ["/srv/app/web/a.py"]) == {"web": "/srv/app/web/a.py", "root": "/srv/app/web/a.py"}
    assert changes.touched(ours, ["/srv/app/webs/a.py", "/srv/b"]) == {"root": "/srv/app/webs/a.py"}
    for path, is_ignored in {"a.py": False, ".git/x": True, "a/__pycache__/b": True, "x.log": True}.items():
        assert changes.is_ignored(f"/srv/.app/{path}", "/srv/.app", changes.IGNORED) is is_ignored


@pytest.mark.once
def test_what_came_and_went_between_two_looks_is_no_change(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    there, gone, new = (str(tmp_path / name) for name in ("there", "gone", "new"))

    assert changes.lasting({(1, gone), (2, gone), (3, gone)}) == []
    assert changes.lasting({(1, there), (3, there), (3, gone), (1, new)}) == [gone, new, there]


# The run


def test_ctrl_c_stops_all_in_order_and_the_output_is_whole(public_path: Path, reaper: Reaper) -> None:
    last = "trap 'printf unended; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    sleepers(public_path, last=command(last))
    up = Up(reaper, public_path, env={**os.environ, "GREETING": "hello"})
    up.wait_for("last   | ready\n")
    up.wait_for("web    | web is here\n")
    up.wait_for("worker | worker is here\n")
    up.wait_until_told("worker - running: ")

    assert up.end(signal.SIGINT) == 0
    assert up.read.endswith(b"last   | unended\n")
    assert run_numen("status").returncode == 0, "another supervisor knows nothing of them"


def test_a_second_ctrl_c_kills_all(public_path: Path, reaper: Reaper) -> None:
    write(public_path, stubborn=command("trap : TERM; echo ready; while :; do sleep 0.1; done"))
    up = Up(reaper, public_path)
    up.wait_for("ready\n")
    up.send(signal.SIGINT)
    up.wait_until_told("stopping")

    def has_ended() -> bool:
        up.send(signal.SIGINT)
        return up.process.poll() is not None

    wait_for(has_ended, DEADLINE, "the end by force")
    assert up.process.returncode == 128 + signal.SIGINT
    assert up.wait() == 128 + signal.SIGINT


def test_where_up_is_killed_all_is_ended_and_nothing_left(public_path: Path, reaper: Reaper) -> None:
    sleepers(public_path)
    up = Up(reaper, public_path)
    up.wait_for("worker is here")
    home, keeper = up.home(), up.keeper()
    family = observe.descendants(keeper)
    assert len(family) >= 3
    up.end(signal.SIGKILL)

    for pid in (keeper, *family):
        observe.wait_until_gone(pid)
    assert not home.exists()


def test_where_all_that_keep_them_are_killed_the_daemons_stay(public_path: Path, reaper: Reaper) -> None:
    sleepers(public_path)
    up = Up(reaper, public_path)
    up.wait_for("worker is here")
    up.wait_for("web is here")
    keeper = up.keeper()
    (supervisor,) = observe.children(keeper)
    for pid in (keeper, supervisor):
        os.kill(pid, signal.SIGSTOP)
    for pid in (keeper, supervisor):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: up.keeper() not in (0, keeper), DEADLINE, "the next keeper")
    home = {"NUMEN_HOME": str(up.home())}
    wait_for(lambda: run_numen("status", env=home).stdout.count(" running ") == 2, DEADLINE, "the daemons")

    assert up.end() == 0
    assert up.read.count(b"is here") == 2, "none was started again"


def test_a_change_of_the_file_is_applied_and_that_of_a_program_restarts(public_path: Path, reaper: Reaper) -> None:
    sleepers(public_path)
    up = Up(reaper, public_path, "--watch", "--no-prefix")
    up.wait_for("worker is here")
    up.wait_for("web is here")
    write(public_path, web=f"command = {SLEEPER}", more=f"command = {SLEEPER}")
    up.send(signal.SIGHUP)
    up.wait_for("more is here")
    up.wait_until_told("worker: removed")
    assert up.read.count(b"web is here") == 1

    (public_path / "numen.toml").write_text("[daemon.web]\nnothing = 1\n")
    up.send(signal.SIGHUP)
    up.wait_until_told("but nothing is changed")
    up.read = b""

    def is_noticed() -> bool:
        (public_path / "app.py").touch()
        return f"web  - is restarted: {public_path}/app.py has changed" in up.told.read_text()

    # Again and again: it may be that the watching has not begun yet.
    wait_for(is_noticed, DEADLINE, "the restart")
    up.wait_for("web is here")
    assert up.end() == 0


def test_a_slow_reader_makes_no_daemon_wait_and_gets_all(public_path: Path, reaper: Reaper) -> None:
    done = public_path / "done"
    write(public_path, talker=command(f"seq 200000; touch {done}") + "\nrestart = 'never'")
    up = Up(reaper, public_path)
    wait_for(done.exists, DEADLINE, "the last line")

    assert up.wait() == 0
    assert up.read.decode().split() == [str(number) for number in range(1, 200001)]


def test_where_one_could_not_be_started_the_status_tells(public_path: Path) -> None:
    write(public_path, broken=command("exit 5") + "\nrestart = 'never'\nready = 'notify'")
    assert run_numen("up", cwd=public_path).returncode == 5

    write(public_path, missing="command = ['/nonexistent']")
    done = run_numen("up", cwd=public_path)
    assert (done.returncode, done.stdout) == (6, ""), done.stderr
    assert "missing: " in done.stderr


def test_a_home_that_is_kept_can_be_asked_and_used_again(public_path: Path, reaper: Reaper) -> None:
    sleepers(public_path)
    home = public_path / "kept"
    for _ in range(2):
        up = Up(reaper, public_path, "--home", str(home), "web")
        up.wait_for("web is here")
        asked = run_numen("status", "--json", env={"NUMEN_HOME": str(home)}).stdout
        assert '"name": "web"' in asked
        assert run_numen("up", "--home", home, cwd=public_path).returncode == 8
        assert up.end() == 0
        assert up.read == b"web is here\n"
    assert (home / "log" / "web.log").read_text() == "web is here\n" * 2
    assert "holds other things" in run_numen("up", "--home", public_path, cwd=public_path).stderr


PID_1 = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@pytest.mark.needs_root
def test_as_pid_1_it_reaps_strangers_passes_signals_on_and_hands_on_the_status(
    public_path: Path, reaper: Reaper
) -> None:
    program = "import signal, time; signal.signal(signal.SIGUSR1, lambda *_: exit(7)); print('up', flush=True)"
    program += "\nwhile True: time.sleep(1000)"
    write(
        public_path,
        main=f"command = ['{sys.executable}', '-c', '''{program}''']\nvital = true\nrestart = 'never'",
        other=f"command = {SLEEPER}",
    )
    few = {name: os.environ[name] for name in ("PATH", "TMPDIR")}
    strangers = "for one in $(seq 50); do (sh -c 'sleep 0.2 &'); done"
    script = f"({strangers}) & exec {numen_command()} up"
    up = Up(reaper, public_path, before=(*PID_1, "sh", "-c", script, "sh"), env=few)
    up.wait_for("other | other is here")
    up.wait_for("main  | up")
    up.wait_until_told("main  - running")
    (init,) = observe.children(up.process.pid)
    wait_for(lambda: len(observe.children(init)) == 1, DEADLINE, "the end of all strangers")
    os.kill(init, signal.SIGUSR1)

    assert up.wait() == 7
