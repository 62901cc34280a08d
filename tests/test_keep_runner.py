"""Real daemons that are asked: one that hangs, one that is silent, one in a log, one as another user, and a runner that
is killed.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import observe
from keeping import free_port
from kept import DEADLINE, Kept
from numen.keep import runner_client
from numen.keep.definitions.definition import Definition
from numen.keep.kernel import BEFORE_START, Answered, Question
from processes import wait_for

pytestmark = pytest.mark.once

REST = ("/bin/sh", "-c", "exec sleep 1000")

WEB = """
import http.server, os, sys, threading
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if os.path.exists(sys.argv[2]): threading.Event().wait()
        self.send_response(204)
        self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
"""

TALKS = """
import array, os, socket, time
one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
one.connect("\\0" + os.environ["NOTIFY_SOCKET"][1:])
one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
descriptors = [os.open("/dev/null", os.O_RDONLY) for _ in range(200)]
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
for data in (b"", b"=", b"\\xff" * 100, b"STATUS=" + b"x" * 150000, b"STATUS=" + b"y" * 60000, b"\\n" * 4000):
    one.send(data)
    one.sendmsg([data], rights)
one.sendmsg([b"READY=1\\nSTATUS=all is said"], rights)
time.sleep(1000)
"""


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    one = Kept(tmp_path / "home")
    one.open()
    yield one
    one.shut_down()


def runner(kept: Kept) -> int:
    """The pid of the runner; 0 where there is none."""
    for pid in observe.children(kept.pid):
        if b"numen.keep.runner" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0


def test_a_server_that_hangs_is_started_again_and_is_up_when_it_answers(kept: Kept, tmp_path: Path) -> None:
    port, hang = free_port(), tmp_path / "hang"
    url = f"http://127.0.0.1:{port}/"
    alive = {"probe": url, "interval": "100ms", "timeout": "500ms", "failures": 2}
    command = (sys.executable, "-c", WEB, str(port), str(hang))
    pid = kept.define("web", *command, ready=url, ready_interval="50ms", alive=alive)

    hang.touch()
    kept.wait_until("web", lambda one: one["restarts"] == 1, "is restarted")
    hang.unlink()
    up = kept.wait_until("web", lambda one: one["state"] == "running", "is up again")

    assert up["pid"] != pid
    assert "does not answer: no answer within 0.5s" in kept.log("numen")


def test_a_line_of_the_log_tells_and_one_of_an_earlier_run_does_not(kept: Kept) -> None:
    script = "echo serving 1; sleep 0.3; exec sleep 1000"
    kept.define("web", "/bin/sh", "-c", script, ready="log:^serving [0-9]$")
    definition = {"command": ["/bin/sh", "-c", "exec sleep 1000"], "ready": "log:serving", "ready_timeout": "500ms"}
    (outcome,) = kept.call("Define", name="web", definition=definition, replace=True)["outcomes"]

    assert outcome["error"] == "NotReadyInTime"


def test_a_silent_watchdog_ends_it_by_sigabrt(kept: Kept) -> None:
    script = 'echo "$WATCHDOG_USEC $((WATCHDOG_PID - $$))"; exec sleep 1000'
    kept.define("web", "/bin/sh", "-c", script, watchdog="300ms")
    kept.wait_until("web", lambda one: one["restarts"] > 0, "is restarted")

    assert kept.status("web")["ending"] == "signal SIGABRT"
    assert kept.lines("web")[0] == b"300000 0"


def test_any_datagram_is_survived_and_its_descriptors_are_closed(kept: Kept) -> None:
    before = len(os.listdir(f"/proc/{kept.pid}/fd"))
    kept.define("web", sys.executable, "-c", TALKS, ready="notify")

    assert kept.wait_until("web", lambda one: one["status"], "talks")["status"] == "all is said"
    assert len(os.listdir(f"/proc/{kept.pid}/fd")) < before + 20


def test_a_runner_that_is_killed_is_followed_by_another_which_asks_again(kept: Kept, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    asked.touch()
    probe = f"exec:/bin/sh -c 'echo $$ >>{asked}; exec sleep 1000'"
    kept.define("web", *REST, alive={"probe": probe, "interval": "100ms", "timeout": "50s"})
    wait_for(lambda: asked.read_text(), DEADLINE, "the question")

    os.kill(runner(kept), signal.SIGKILL)
    wait_for(lambda: len(asked.read_text().split()) == 2, DEADLINE, "the question of another")
    first, second = map(int, asked.read_text().split())
    wait_for(lambda: observe.is_zombie_or_gone(first), DEADLINE, "the end of what the first ran")

    os.kill(kept.pid, signal.SIGKILL)
    wait_for(lambda: observe.is_zombie_or_gone(second), DEADLINE, "the end of what the second ran")
    wait_for(lambda: len(asked.read_text().split()) == 3, DEADLINE, "the question of the next supervisor's")
    assert kept.status("web")["restarts"] == 0


@pytest.mark.needs_root
def test_a_command_asks_as_the_daemons_user_and_ends_with_what_it_has_begun(kept: Kept, public_path: Path) -> None:
    said = public_path / "said"
    said.touch()
    said.chmod(0o666)
    probe = f"exec:/bin/sh -c 'sleep 1000 & echo $(id -un) $(pwd) $FRUIT $! >{said}'"
    environment = {"PATH": os.environ["PATH"], "FRUIT": "pear"}
    keys = {"user": "nobody", "directory": "/usr", "environment": environment, "ready": probe}
    kept.define("web", *REST, **keys)

    user, place, fruit, child = said.read_text().split()
    assert (user, place, fruit) == ("nobody", "/usr", "pear")
    wait_for(lambda: observe.is_zombie_or_gone(int(child)), DEADLINE, "the end of its child")


def test_a_socket_of_each_type_is_asked(kept: Kept, tmp_path: Path) -> None:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        path = tmp_path / f"socket-{int(kind)}"
        with socket.socket(socket.AF_UNIX, kind) as one:
            one.bind(str(path))
            if kind == socket.SOCK_STREAM:
                one.listen()
            kept.define(f"web-{int(kind)}", *REST, ready=f"unix:{path}")


def test_a_runner_that_hangs_is_replaced_and_the_answer_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_client, "PATIENCE", 0.2)
    client = runner_client.RunnerClient(open_files=256)
    definition = Definition(command=REST, before_start=("/bin/sh", "-c", "echo done"))
    question = Question(name="web", invocation="1" * 32, kind=BEFORE_START, definition=definition, timeout=1.0)
    patient = question.replace(name="patient", timeout=3600.0)
    answers: list[Answered] = []

    def is_answered() -> bool:
        client.end_if_hung()
        answers.extend(client.receive())
        return bool(answers)

    client.ask(patient, {})
    client.ask(question, {})
    hung = client.pid
    assert hung is not None
    os.kill(hung, signal.SIGSTOP)
    monkeypatch.setattr(runner_client, "PATIENCE", DEADLINE)
    try:
        wait_for(is_answered, DEADLINE, "an answer")
        assert client.pid != hung
    finally:
        pid = client.pid
        client.close()
        if pid is not None:
            os.waitpid(pid, 0)

    assert (answers[0].ok, answers[0].message) == (True, "done")
