"""Detach the clock, and show what /proc says of it beside the eight steps. This is what `make run` runs."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NUMEN = Path(sys.executable).with_name("numen")
HERE = Path(__file__).resolve().parents[2]
CLOCK = HERE / "examples" / "clock" / "clock.py"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="numen-clock-") as home:
        environment = {**os.environ, "NUMEN_HOME": home}

        def numen(*arguments: str) -> str:
            shown = shlex.join(["numen", *arguments]).replace(sys.executable, "python3")
            print(f"$ {shown.replace(home, '$DIR').replace(str(HERE), '$PWD')}", flush=True)
            done = subprocess.run([NUMEN, *arguments], env=environment, capture_output=True, text=True, check=False)
            print(done.stdout.replace(home, "$DIR") + done.stderr, flush=True)
            return done.stdout

        out, errors = Path(home, "clock.txt"), Path(home, "clock.err")
        streams = ["--stdout", str(out), "--stderr", str(errors)]
        numen("detach", "--name", "clock", *streams, "--ready", "fd:3", "--", sys.executable, str(CLOCK))
        pid = int(Path(home, "run", "detached", "clock.pid").read_text())
        show(pid, home)
        wait_for_lines(out, 3)
        print(f"$ tail -n 3 $DIR/clock.txt\n{''.join(out.read_text().splitlines(keepends=True)[-3:])}")
        numen("detach", "--status", "clock")
        numen("detach", "--stop", "clock")
        numen("detach", "--status", "clock")
        print(f"$ cat $DIR/clock.err\n{errors.read_text()}")
    return 0


def show(pid: int, home: str) -> None:
    """What /proc says of the process, a line a step."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    _, group, session, terminal = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1:5]
    streams = {int(one.name): os.readlink(one).replace(home, "$DIR") for one in Path(f"/proc/{pid}/fd").iterdir()}
    leader = "it is no session leader" if session != str(pid) else "IT IS THE SESSION LEADER"
    ignored, caught, blocked = (signals(status[name]) for name in ("SigIgn", "SigCgt", "SigBlk"))
    rows = [
        ("1  fork, the launcher exits", f"pid {pid}, its parent is pid {status['PPid']}"),
        ("2  a session without terminal", f"session {session}, group {group}, terminal {terminal}; {leader}"),
        ("3  the working directory", os.readlink(f"/proc/{pid}/cwd")),
        ("4  the umask", status["Umask"]),
        ("5  descriptors", "; ".join(f"{number} {target}" for number, target in sorted(streams.items()))),
        (
            "6  dead children",
            "SIGCHLD ignored" if "SIGCHLD" in ignored else "SIGCHLD at its default: it waits for them",
        ),
        ("7  errors", f"stderr goes to {streams[2]}"),
        ("8  signals", f"caught: {caught}; ignored: {ignored}; blocked: {blocked}"),
    ]
    width = max(len(step) for step, _ in rows)
    print(f"{'step'.ljust(width)}   what /proc/{pid} says")
    for step, fact in rows:
        print(f"{step.ljust(width)}   {fact}")
    print(flush=True)


def signals(mask: str) -> str:
    """The names of the signals in a mask of /proc."""
    number = int(mask, 16)
    return ", ".join(one.name for one in signal.Signals if number >> (one - 1) & 1) or "none"


def wait_for_lines(path: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    while path.read_text().count("\n") < count and time.monotonic() < deadline:
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
