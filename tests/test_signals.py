"""Steps 6 and 8: dead children, and the signals by which a daemon is told to reload or to end."""

import signal
from functools import partial
from pathlib import Path

import pytest

import observe
from daemons import Daemon, begin_script, run_script, said_in, start_daemon
from numen.become import signals
from numen.errors import BadOption
from processes import Reaper, wait_for

RESTING = """
with numen.DaemonContext(pidfile="pid", stderr="err"{options}) as daemon:
    try:
        daemon.ready()
        rest()
    finally:
        say("finally", daemon.stopping)
"""

ENDINGS = [signal.SIGTERM, signal.SIGINT]


def leaves_nothing(daemon: Daemon) -> bool:
    """Whether the daemon has tidied up, and had nothing to complain of."""
    text = (daemon.directory / "err").read_text()
    assert text == ""
    return not any("pid" in path.name for path in daemon.directory.iterdir())


def has_said(directory: Path, text: str, times: int) -> bool:
    """Whether the daemon has said that so many times."""
    return said_in(directory).count(text) == times


# The end


@pytest.mark.parametrize("number", ENDINGS)
def test_the_first_request_ends_it_in_order_with_status_0(tmp_path: Path, reaper: Reaper, number: int) -> None:
    daemon = start_daemon(tmp_path, reaper, RESTING.format(options=""))
    daemon.signal(number)
    assert daemon.wait() == 0
    assert said_in(tmp_path) == ["finally True"]
    assert leaves_nothing(daemon)


@pytest.mark.parametrize("first", ENDINGS)
@pytest.mark.parametrize("second", ENDINGS)
def test_a_second_request_ends_it_at_once_by_that_signal(
    tmp_path: Path, reaper: Reaper, first: int, second: int
) -> None:
    script = """
        with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
            try:
                daemon.ready()
                rest()
            finally:
                say("tidying up")
                rest()
    """
    daemon = start_daemon(tmp_path, reaper, script)
    daemon.signal(first)
    daemon.wait_until_said("tidying up")
    daemon.signal(second)
    assert daemon.wait() == -second
    assert leaves_nothing(daemon)


def test_a_program_may_answer_the_request_itself(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
            daemon.ready()
            try:
                rest()
            except SystemExit as request:
                say("asked", request.code, daemon.stopping)
                sys.exit(7)
    """
    daemon = start_daemon(tmp_path, reaper, script)
    assert daemon.stop() == 7
    assert said_in(tmp_path) == ["asked 0 True"]


def test_threads_that_watch_stopping_are_waited_for(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
            def work(number):
                while not daemon.stopping:
                    time.sleep(0.002)
                say("worker", number)
            threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
            for thread in threads:
                thread.start()
            daemon.ready()
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script)
    assert daemon.stop() == 0
    assert sorted(said_in(tmp_path)) == [f"worker {number}" for number in range(3)]
    assert leaves_nothing(daemon)


def test_the_request_is_heard_while_the_main_thread_waits_for_another(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
            def work():
                while not daemon.stopping:
                    time.sleep(0.002)
            thread = threading.Thread(target=work)
            thread.start()
            daemon.ready()
            thread.join()
    """
    daemon = start_daemon(tmp_path, reaper, script)
    assert daemon.stop() == 0
    assert leaves_nothing(daemon)


@pytest.mark.parametrize("is_asked_again", [False, True])
def test_a_thread_whose_join_is_interrupted_is_waited_for_until_a_second_request(
    tmp_path: Path, reaper: Reaper, is_asked_again: bool
) -> None:
    script = """
        import atexit
        atexit.register(say, "exit")

        def work():
            while not daemon.stopping:
                time.sleep(0.002)
            wait_for(os.path.join(here, "go"))
            say("worker")

        thread = threading.Thread(target=work)
        try:
            with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
                thread.start()
                daemon.ready()
                thread.join()
        finally:
            say("main")
    """
    daemon = start_daemon(tmp_path, reaper, script)
    daemon.signal(signal.SIGTERM)
    daemon.wait_until_said("main")
    if is_asked_again:
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == -signal.SIGTERM
        assert said_in(tmp_path) == ["main"]
    else:
        (tmp_path / "go").touch()
        assert daemon.wait() == 0
        assert said_in(tmp_path) == ["main", "worker", "exit"]
    assert leaves_nothing(daemon)


ASYNCIO = """
    import asyncio

    def hook():
        say("reloading", asyncio.get_running_loop() is loop)

    async def coroutine_hook():
        await asyncio.sleep(0)
        gc.collect()
        say("reloaded later", asyncio.get_running_loop() is loop)

    async def worker(name):
        try:
            await asyncio.Event().wait()
        finally:
            # The group cancels its tasks a second time, so theirs must not wait here.
            if name == "task":
                await asyncio.sleep(0)
            say(name, "finally")

    async def main():
        global loop, task
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(worker("task"))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(worker("grouped"))
                await asyncio.sleep(0)
                daemon.ready()
                {wait}
        finally:
            await asyncio.sleep(0)
            say("main finally", daemon.stopping)

    with numen.DaemonContext(pidfile="pid", stderr="err", reload={hook}) as daemon:
        asyncio.run(main())
        say("not reached")
"""


@pytest.mark.parametrize("number", ENDINGS)
@pytest.mark.parametrize("wait", ["await asyncio.sleep(1000)", "while True: await asyncio.sleep(0)"])
def test_an_asyncio_program_ends_in_order_with_status_0_and_without_a_word(
    tmp_path: Path, reaper: Reaper, number: int, wait: str
) -> None:
    daemon = start_daemon(tmp_path, reaper, ASYNCIO.format(hook=None, wait=wait))
    daemon.signal(number)
    assert daemon.wait() == 0
    assert sorted(said_in(tmp_path)) == ["grouped finally", "main finally True", "task finally"]
    assert leaves_nothing(daemon)


def test_a_second_request_ends_an_asyncio_program_at_once(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        import asyncio

        async def main():
            daemon.ready()
            try:
                await asyncio.sleep(1000)
            finally:
                say("tidying up")
                await asyncio.sleep(1000)

        with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
            asyncio.run(main())
    """
    daemon = start_daemon(tmp_path, reaper, script)
    daemon.signal(signal.SIGTERM)
    daemon.wait_until_said("tidying up")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == -signal.SIGTERM
    assert leaves_nothing(daemon)


# The reload


def test_sighup_calls_the_reload_hook_each_time(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        calls = []

        def hook():
            calls.append(threading.current_thread() is threading.main_thread())
            say("reloaded", len(calls), *calls[-1:])

        with numen.DaemonContext(pidfile="pid", stderr="err", reload=hook) as daemon:
            daemon.ready()
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script)
    for number in range(1, 4):
        daemon.signal(signal.SIGHUP)
        daemon.wait_until_said(f"reloaded {number} True")
    assert daemon.stop() == 0
    assert leaves_nothing(daemon)


@pytest.mark.parametrize(("hook", "said"), [("hook", "reloading True"), ("coroutine_hook", "reloaded later True")])
def test_in_an_asyncio_program_the_hook_is_called_in_the_loop(
    tmp_path: Path, reaper: Reaper, hook: str, said: str
) -> None:
    daemon = start_daemon(tmp_path, reaper, ASYNCIO.format(hook=hook, wait="await asyncio.sleep(1000)"))
    for number in range(1, 4):
        daemon.signal(signal.SIGHUP)
        wait_for(partial(has_said, tmp_path, said, number), 30, f"{said}, {number} times")
    assert daemon.stop() == 0
    assert leaves_nothing(daemon)


def test_a_coroutine_that_reloads_is_not_collected_while_it_waits(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        import asyncio, weakref
        waiting = []

        async def hook():
            future = asyncio.get_running_loop().create_future()
            # Nothing but the task that waits refers to the future.
            waiting.append(weakref.ref(future))
            say("waiting")
            await future
            say("reloaded")

        async def main():
            daemon.ready()
            while not waiting:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)
            gc.collect()
            future = waiting[0]()
            if future is not None:
                future.set_result(None)
            await asyncio.sleep(1000)

        with numen.DaemonContext(pidfile="pid", stderr="err", reload=hook) as daemon:
            asyncio.run(main())
    """
    daemon = start_daemon(tmp_path, reaper, script)
    daemon.signal(signal.SIGHUP)
    daemon.wait_until_said("reloaded")
    assert daemon.stop() == 0
    assert leaves_nothing(daemon)


def test_sighup_harms_nobody_where_there_is_no_hook(tmp_path: Path, reaper: Reaper) -> None:
    daemon = start_daemon(tmp_path, reaper, RESTING.format(options=""))
    for _ in range(3):
        daemon.signal(signal.SIGHUP)
    wait_for(lambda: signal.SIGHUP not in daemon.look().signals.pending, 30, "the signal's arrival")
    assert signal.SIGHUP in daemon.look().signals.caught, "a child would inherit that it is ignored"
    assert daemon.stop() == 0
    assert leaves_nothing(daemon)


# Children

FORKING = """
    with numen.DaemonContext(pidfile="pid", stderr="err", children="{children}") as daemon:
        for _ in range(200):
            if not os.fork():
                os._exit(0)
        daemon.ready()
        rest()
"""


@pytest.mark.parametrize("children", ["ignore", "reap"])
def test_no_zombie_is_left_of_children_that_nobody_waits_for(tmp_path: Path, reaper: Reaper, children: str) -> None:
    daemon = start_daemon(tmp_path, reaper, FORKING.format(children=children))
    wait_for(lambda: not observe.children(daemon.pid), 30, "the end of all children")
    assert (signal.SIGCHLD in daemon.look().signals.ignored) == (children == "ignore")
    assert daemon.stop() == 0
    assert leaves_nothing(daemon)


def test_by_default_a_program_waits_for_its_children_itself(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        import subprocess
        with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
            daemon.ready()
            say(subprocess.run(["sh", "-c", "exit 7"]).returncode)
            if not (child := os.fork()):
                os._exit(3)
            say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script)
    assert daemon.wait_until_said("3") == ["7", "3"]
    assert daemon.stop() == 0
    assert leaves_nothing(daemon)


def test_a_program_that_a_daemon_executes_has_every_signal_at_default(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        import subprocess
        with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
            child = subprocess.Popen(["sleep", "1000"])
            daemon.ready()
            say("child", child.pid)
            rest()
    """
    start_daemon(tmp_path, reaper, script)
    wait_for(lambda: said_in(tmp_path), 30, "the child")
    child = observe.look(int(said_in(tmp_path)[0].removeprefix("child ")))
    assert not child.signals.ignored | child.signals.blocked | child.signals.caught


@pytest.mark.parametrize(("policy", "for_exec"), [("often", False), ("", True), ("reap", True)])
def test_an_unknown_way_to_treat_children_is_refused(policy: str, for_exec: bool) -> None:
    with pytest.raises(BadOption):
        signals.check_children(policy, for_exec=for_exec)


@pytest.mark.parametrize("policy", signals.CHILDREN)
def test_each_way_to_treat_children_is_known_to_a_python_daemon(policy: str) -> None:
    signals.check_children(policy, for_exec=False)


# The reset


@pytest.mark.parametrize("for_exec", [True, False])
def test_reset_gives_every_signal_its_default_and_blocks_none(tmp_path: Path, reaper: Reaper, for_exec: bool) -> None:
    script = f"""
        from numen.become import signals
        for number in signal.valid_signals() - {{signal.SIGKILL, signal.SIGSTOP}}:
            signal.signal(number, signal.SIG_IGN if number % 2 else lambda *_: None)
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        signals.reset(for_exec={for_exec})
        say("reset")
        rest()
    """
    process = begin_script(tmp_path, reaper, script)
    wait_for(lambda: said_in(tmp_path), 30, "the reset")
    seen = observe.look(process.pid).signals
    assert seen.blocked == seen.pending == set()
    if for_exec:
        assert seen.ignored == seen.caught == set()
    else:
        # Those that the interpreter needs are left as they were.
        assert seen.ignored | seen.caught == {signal.SIGPIPE, signal.SIGXFSZ}


def test_reset_stops_the_writing_of_signals_to_a_descriptor(tmp_path: Path) -> None:
    script = """
        from numen.become import signals
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        signals.reset(for_exec=False)
        print(signal.set_wakeup_fd(-1))
    """
    assert run_script(tmp_path, script).stdout == "-1\n"
