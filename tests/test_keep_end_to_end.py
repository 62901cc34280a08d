"""Real programs that are kept, each as a person would start it."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import observe
from keeping import (
    DEADLINE,
    ask_port,
    facts,
    free_port,
    kill_supervisor,
    log,
    numen,
    pid_of,
    python,
    shell,
    start,
    states,
    wait_for_line,
    wait_until,
)
from processes import run_numen, wait_for


@pytest.fixture(autouse=True)
def supervisor_ended() -> Iterator[None]:
    """Whatever a test has started is ended with the supervisor."""
    yield
    assert run_numen("shutdown", "--quiet").returncode == 0


# Servers that everybody knows


def test_http_server_is_kept_up_and_what_it_says_is_kept_too() -> None:
    port = free_port()
    pid = start(
        "web", "python3", "-m", "http.server", str(port), "--bind", "127.0.0.1", options=("-e", "PYENV_VERSION")
    )
    wait_for(lambda: ask_port(port, "GET /first HTTP/1.0\r\n\r\n"), DEADLINE, "an answer")

    os.kill(pid, signal.SIGKILL)

    wait_for(lambda: pid_of("web") not in (0, pid), DEADLINE, "another process")
    wait_for(lambda: ask_port(port, "GET /second HTTP/1.0\r\n\r\n"), DEADLINE, "an answer of the second")
    wait_for_line("web", "GET /second")
    assert "GET /first" in log("web")
    assert facts("web")["ending"] == "signal SIGKILL"
    numen("stop", "web")
    assert ask_port(port, "GET / HTTP/1.0\r\n\r\n") == ""


@pytest.mark.needs_package("redis-server")
def test_redis_is_ready_when_it_says_so_and_ends_as_it_wants_to(public_path: Path) -> None:
    port = free_port()
    options = ("--ready", "notify", "--timeout", "30s", "--directory", public_path)
    command = ("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--supervised", "systemd", "--save", "1 1")

    numen("start", "--name", "redis", *options, "--", *command)

    assert ask_port(port, "PING\r\n") == "+PONG\r\n"
    assert "Ready to accept connections" in facts("redis")["status"]
    assert ask_port(port, "SET fruit pear\r\n") == "+OK\r\n"
    numen("restart", "redis")
    assert ask_port(port, "GET fruit\r\n") == "$4\r\npear\r\n"
    numen("stop", "redis")
    assert facts("redis")["ending"] == "exit status 0"
    assert "bye bye" in log("redis")


@pytest.mark.needs_root
@pytest.mark.needs_package("nginx-light", command="nginx")
def test_nginx_opens_its_stdout_again_as_another_user_and_no_worker_stays(public_path: Path) -> None:
    port = free_port()
    configuration = public_path / "nginx.conf"
    configuration.write_text(f"""
        daemon off;
        user www-data;
        pid {public_path}/nginx.pid;
        error_log /dev/stderr notice;
        events {{}}
        http {{
            access_log /dev/stdout;
            client_body_temp_path {public_path}/1;
            proxy_temp_path {public_path}/2;
            fastcgi_temp_path {public_path}/3;
            uwsgi_temp_path {public_path}/4;
            scgi_temp_path {public_path}/5;
            server {{ listen 127.0.0.1:{port}; location / {{ return 200 "well\\n"; }} }}
        }}
    """)
    options = ("--reload", "HUP")
    master = start("nginx", "/usr/sbin/nginx", "-c", str(configuration), options=options)

    assert "well" in ask_port(port, "GET /one HTTP/1.0\r\n\r\n")
    numen("signal", "USR1", "nginx")
    wait_for(lambda: log("nginx").count("reopening logs") >= 3, DEADLINE, "the logs are open again")
    assert "well" in ask_port(port, "GET /two HTTP/1.0\r\n\r\n")
    wait_for_line("nginx", "GET /two")
    numen("reload", "nginx")
    wait_for_line("nginx", "reconfiguring")
    assert pid_of("nginx") == master
    numen("restart", "nginx")
    wait_for(lambda: "well" in ask_port(port, "GET /three HTTP/1.0\r\n\r\n"), DEADLINE, "an answer after the restart")
    wait_for_line("nginx", "GET /three")
    family = observe.descendants(pid_of("nginx"))
    assert family
    numen("stop", "nginx")
    assert all(observe.is_zombie_or_gone(pid) for pid in family)
    assert "emerg" not in log("nginx")
    assert "Permission denied" not in log("nginx")


@pytest.mark.needs_root
def test_a_daemon_of_another_user_can_open_its_streams_again() -> None:
    script = "echo by name >/dev/stdout; echo error by name >/dev/stderr; exec sleep 1000"
    start("other", *shell(script), options=("--user", "nobody", "--separate-stderr"))

    wait_for_line("other", "by name\n")
    wait_for_line("other.err", "error by name\n")


# Families

ESCAPED = """
    if not os.fork():
        os.setsid()
        if not os.fork():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            say("stray", os.getpid())
            rest()
        os._exit(0)
    os.wait()
    rest()
"""
"""Leaves behind one that forked twice, called setsid, and ignores SIGTERM."""


def strays(name: str, count: int = 1) -> list[int]:
    """The pids of the strays that a daemon has told of."""
    wait_for(lambda: log(name).count("stray") >= count, DEADLINE, f"{count} strays")
    return [int(line.split()[1]) for line in log(name).splitlines() if line.startswith("stray ")]


def test_after_a_stop_the_whole_family_is_gone() -> None:
    start("family", *python(ESCAPED), options=("--stop", "TERM/300ms/KILL"))
    (stray,) = strays("family")

    numen("stop", "family")

    assert observe.is_zombie_or_gone(stray)


def test_after_a_stop_the_whole_family_is_gone_also_where_it_was_adopted() -> None:
    pid = start("family", *python(ESCAPED), options=("--stop", "TERM/300ms/KILL"))
    (stray,) = strays("family")
    kill_supervisor()
    assert pid_of("family") == pid

    numen("stop", "family")

    assert observe.is_zombie_or_gone(pid)
    assert observe.is_zombie_or_gone(stray)


def test_before_it_is_started_again_what_a_daemon_has_left_behind_is_ended() -> None:
    pid = start("family", *python(ESCAPED), options=("--stop", "TERM/200ms/KILL"))
    (stray,) = strays("family")

    os.kill(pid, signal.SIGKILL)

    wait_for(lambda: pid_of("family") not in (0, pid), DEADLINE, "the next run")
    assert observe.is_zombie_or_gone(stray)
    assert "it has left processes behind, which are ended" in numen("events", "family")


def test_one_that_ignores_term_is_killed_when_its_grace_ends() -> None:
    script = "signal.signal(signal.SIGTERM, lambda *_: say('no')); say('ready'); rest()"
    start("deaf", *python(script), options=("--stop", "TERM/500ms/KILL"))
    wait_for_line("deaf", "ready")

    before = time.monotonic()
    numen("stop", "deaf")

    assert time.monotonic() - before >= 0.5
    assert facts("deaf")["ending"] == "signal SIGKILL"
    assert "no\n" in log("deaf")


def test_one_that_is_suspended_is_stopped_too() -> None:
    pid = start("asleep", *python("signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); say('ready'); rest()"))
    wait_for_line("asleep", "ready")
    numen("signal", "STOP", "asleep")
    wait_for(lambda: observe.look(pid).state == "T", DEADLINE, "it is suspended")

    numen("stop", "asleep")

    assert facts("asleep")["ending"] == "exit status 0"


# Bad company


def test_one_that_floods_its_output_is_kept_within_bounds_and_the_others_are_served() -> None:
    start(
        "flood",
        *python("line = b'x' * 99 + b'\\n'\nwhile True: os.write(1, line * 600)"),
        options=("--log-size", "1M", "--log-keep", "3"),
    )
    port = free_port()
    start("calm", *python(f"say('calm')\nwith socket.create_server(('127.0.0.1', {port})) as one: rest()"))

    directory = Path(os.environ["NUMEN_HOME"], "log")
    wait_for(lambda: len(list(directory.glob("flood.log*"))) >= 3, DEADLINE, "three files of the log")
    before = time.monotonic()
    numen("restart", "calm")
    assert time.monotonic() - before < 5
    numen("stop", "flood")
    assert sum(path.stat().st_size for path in directory.glob("flood.log*")) < 4 * 2**20
    for path in directory.glob("flood.log*"):
        if path.suffix != ".index":
            # The last write was cut off by the signal.
            lines = path.read_bytes().split(b"\n")[:-1]
            assert set(lines) == {b"x" * 99}, path


def test_one_that_always_crashes_does_not_spin() -> None:
    numen("start", "--name", "crash", "--", *shell("echo run; exit 1"), status=9)

    before = time.monotonic()
    wait_for(lambda: facts("crash")["failures"] >= 4, DEADLINE, "four failures")
    elapsed = time.monotonic() - before
    # The bounds of the waits are 0.1, 0.2, 0.4, ...; without them there would be hundreds of runs.
    assert log("crash").count("run") < 12 + elapsed / 0.1
    told = facts("crash")
    assert told["state"] in ("backoff", "starting", "stopping")
    assert told["ending"] == "exit status 1"
    numen("stop", "crash")
    runs = log("crash").count("run")
    assert facts("crash")["state"] == "stopped"
    assert log("crash").count("run") == runs


def test_while_fifty_crash_the_others_are_served() -> None:
    start("calm", *python("say('calm'); rest()"))
    for number in range(50):
        text = 'command = ["/bin/false"]\nbackoff = { first = "50ms", longest = "1s" }\n'
        Path(os.environ["NUMEN_HOME"], "daemons.d", f"crash-{number}.toml").write_text(text)
    numen("start", "crash-*", status=9)

    before = time.monotonic()
    for _ in range(3):
        numen("restart", "calm")
        assert len(states()) == 51
    # Each restart waits 200 ms to see that it lives.
    assert time.monotonic() - before < 10
    numen("stop", "*")
    assert set(states().values()) == {"stopped"}


def test_one_that_has_left_its_terminal_output_for_a_file_and_closed_all_is_kept() -> None:
    pid = start("silent", *python("for one in (0, 1, 2): os.close(one)\nrest()"))

    kill_supervisor()

    assert pid_of("silent") == pid
    numen("stop", "silent")
    assert observe.is_zombie_or_gone(pid)


# What a daemon says of itself


@pytest.mark.needs_package("systemd", command="systemd-notify")
def test_systemd_notify_tells_that_a_daemon_is_ready() -> None:
    script = "systemd-notify --status='half way'; systemd-notify --ready; exec sleep 1000"

    said = numen("start", "--name", "sd", "--ready", "notify", "--timeout", "20s", "--", *shell(script))

    assert "it sent READY=1" in said
    assert facts("sd")["status"] == "half way"


def test_a_status_line_is_told_and_forgotten_with_its_run() -> None:
    script = "notify('READY=1\\nSTATUS=serving 3'); rest()"
    numen("start", "--name", "one", "--ready", "notify", "--", *python(script))

    assert facts("one")["status"] == "serving 3"
    assert "serving 3" in numen("status", "one")
    numen("stop", "one")
    assert facts("one")["status"] == ""


def test_another_main_process_may_be_named_and_its_end_is_the_daemons() -> None:
    script = """
        child = os.fork()
        if not child:
            signal.signal(signal.SIGUSR1, lambda *_: os._exit(7))
            rest()
        notify(f"MAINPID={child}\\nREADY=1")
        rest()
    """
    numen("start", "--name", "main", "--ready", "notify", "--restart", "never", "--", *python(script))
    wait_for(lambda: pid_of("main") and observe.look(pid_of("main")).ppid != 0, DEADLINE, "a main process")
    child = pid_of("main")
    parent = observe.look(child).ppid
    assert "main" in [line.split()[3] for line in numen("events", "main").splitlines()]

    numen("signal", "USR1", "main")

    told = wait_until("main", "failed")
    # The child of a process that does not wait for it: what it ended with stands in the zombie.
    assert told["ending"] == "exit status 7"
    assert observe.is_zombie_or_gone(parent)


def test_a_stranger_cannot_be_named_as_the_main_process() -> None:
    pid = start("other")
    script = f"notify('MAINPID={pid}\\nREADY=1'); rest()"
    numen("start", "--name", "one", "--ready", "notify", "--", *python(script))

    assert pid_of("one") != pid


def test_a_daemon_that_asks_for_more_time_gets_it() -> None:
    script = """
        for _ in range(8):
            notify("EXTEND_TIMEOUT_USEC=300000")
            time.sleep(0.1)  # the length is the point
        notify("READY=1")
        rest()
    """
    numen("start", "--name", "slow", "--ready", "notify", "--timeout", "300ms", "--", *python(script))

    assert facts("slow")["state"] == "running"


@pytest.mark.parametrize("number", [3, 7, 40])
def test_a_newline_on_the_descriptor_tells_that_it_is_ready(number: int) -> None:
    script = f"""
        os.write({number}, b"not yet")
        say(os.listdir("/proc/self/fd"))
        os.write({number}, b"\\n")
        rest()
    """
    said = numen("start", "--name", "fd", "--ready", f"fd:{number}", "--", *python(script))

    assert "it wrote a newline" in said
    numen("restart", "fd")


def test_one_that_is_never_ready_is_ended_and_tried_again() -> None:
    said = numen(
        "start",
        "--name",
        "late",
        "--ready",
        "notify",
        "--timeout",
        "200ms",
        "--",
        *python("say('hm'); rest()"),
        status=124,
    )

    assert "was not ready within" in said
    wait_for(lambda: facts("late")["restarts"] >= 1, DEADLINE, "another try")
    assert log("late").count("hm") >= 1
