"""What Python holds open: closed as objects, so that none of them closes a stranger's descriptor later."""

import logging
import logging.handlers
import pickle
import socket
import struct
from pathlib import Path

import pytest

from daemons import said_in, start_daemon
from numen.become import objects
from processes import Reaper

# A living object is no mine

AT_REST = """
def opened():
    return {{int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{{name}}")}}

{imports}
before = opened()
{plant}
numbers = opened() - before
say("owned", len(numbers))
with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
    taken = {{}}
    for number in sorted(numbers):
        if os.path.exists(f"/proc/self/fd/{{number}}"):
            # Nobody else is given a number that stays in use, and what is there harms nobody.
            assert os.readlink(f"/proc/self/fd/{{number}}") == "/dev/null", f"{{number}} is still open"
            say("disarmed")
            continue
        file = os.open(f"{{here}}/new.{{number}}", os.O_RDWR | os.O_CREAT)
        if file != number:
            os.dup2(file, number)
            os.close(file)
        taken[number] = os.fstat(number).st_ino
        os.write(number, b"precious")
    {collect}
    gc.collect()
    for number, inode in taken.items():
        assert os.fstat(number).st_ino == inode, f"{{number}} is another file now"
        os.lseek(number, 0, os.SEEK_SET)
        assert os.read(number, 100) == b"precious", f"{{number}} was written to"
    daemon.ready()
    rest()
"""

PLANTS = {
    "text file": ("", 'thing = open("planted", "w"); thing.write("unflushed")'),
    "unbuffered file": ("", 'thing = open("planted", "wb", buffering=0)'),
    "buffered reader": ("", 'open("planted", "w").close(); thing = open("planted", "rb")'),
    "random access file": ("", 'thing = open("planted", "w+b"); thing.write(b"unflushed")'),
    "file in a structure": ("", 'thing = {"a": [(1, open("planted", "w"))]}'),
    "file of a pipe": ("", 'thing = [open(end, mode) for end, mode in zip(os.pipe(), "rw")]'),
    "socket": ("import socket", "thing = socket.socket()"),
    "pair of sockets": ("import socket", "thing = socket.socketpair()"),
    "raw socket object": ("import _socket", "thing = _socket.socket()"),
    "file of a socket": ("import socket", 'pair = socket.socketpair(); thing = pair[0].makefile("rw"); del pair'),
    "raw file of a socket": (
        "import socket",
        'thing = socket.socketpair(); thing += (thing[0].makefile("rb", buffering=0),)',
    ),
    "epoll": ("import select", "thing = select.epoll()"),
    "selector": ("import selectors", "thing = selectors.DefaultSelector()"),
    "named temporary file": ("import tempfile", "thing = tempfile.NamedTemporaryFile()"),
    "temporary file": ("import tempfile", 'thing = tempfile.TemporaryFile(); thing.write(b"x")'),
    "spooled temporary file": (
        "import tempfile",
        'thing = tempfile.SpooledTemporaryFile(max_size=1); thing.write(b"rolled over")',
    ),
    "directory that is read": (
        "",
        'os.mkdir("many"); [open(f"many/{i}", "w").close() for i in range(9)]; thing = os.scandir("many"); next(thing)',
    ),
    "memory mapping of a file": (
        "import mmap",
        'with open("planted", "w+b") as file: file.truncate(4096); thing = mmap.mmap(file.fileno(), 4096)',
    ),
    "connection": ("import multiprocessing", "thing = multiprocessing.Pipe()"),
    "multiprocessing queue": ("import multiprocessing", "thing = multiprocessing.Queue()"),
    "listener": ("import multiprocessing.connection", 'thing = multiprocessing.connection.Listener(("127.0.0.1", 0))'),
    "pipes of a child": (
        "import subprocess",
        'thing = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)',
    ),
    "event loop that does not run": ("import asyncio", "thing = asyncio.new_event_loop()"),
    "compressed file": ("import gzip", 'thing = gzip.open("planted", "wb"); thing.write(b"x")'),
    "output of a program": ("", 'thing = os.popen("true"); thing.read()'),
    "tuples and dicts of what is not tracked": (
        "import select",
        'thing = {"a": (select.epoll(), (select.epoll(), {"b": select.epoll()}))}; gc.collect()',
    ),
    "generator that reads a file": (
        "def lines():\n    with open(__file__) as file:\n        yield from file\n",
        "thing = lines(); next(thing)",
    ),
    "generator that reads a directory": (
        "def names():\n    with os.scandir('/usr') as entries:\n        yield from entries\n",
        "thing = names(); next(thing)",
    ),
}


@pytest.mark.parametrize("kind", PLANTS)
def test_an_object_that_is_collected_later_closes_no_new_file_of_its_number(
    tmp_path: Path, reaper: Reaper, kind: str
) -> None:
    imports, plant = PLANTS[kind]
    daemon = start_daemon(
        tmp_path, reaper, AT_REST.format(imports=imports, plant=plant, collect="del thing"), deadline_seconds=20
    )
    assert said_in(tmp_path)[0] != "owned 0"
    assert ("disarmed" in said_in(tmp_path)) == (kind == "memory mapping of a file")
    daemon.look()
    # Not even at its end, when whatever is left is collected.
    assert daemon.stop() == 0
    for path in tmp_path.glob("new.*"):
        assert path.read_bytes() == b"precious"
    assert (tmp_path / "err").read_text() == ""


def test_a_descriptor_without_an_object_is_just_closed(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        leaked = [os.open("/dev/zero", os.O_RDONLY) for _ in range(300)]
        with numen.DaemonContext(pidfile="pid", stderr="err", ready="open"):
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script).look()
    assert not any(one.target == "/dev/zero" for one in daemon.descriptors.values())


def test_a_temporary_file_is_the_daemons_to_remove(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        import tempfile
        kept, left = tempfile.NamedTemporaryFile(dir="."), tempfile.NamedTemporaryFile(dir=".")
        kept.write(b"content"), kept.flush()
        with numen.DaemonContext(pidfile="pid", stderr="err", keep=[kept]) as daemon:
            daemon.ready()
            kept.seek(0)
            say(kept.read(), os.path.exists(kept.name), os.path.exists(left.name))
            wait_for(f"{here}/go")
    """
    daemon = start_daemon(tmp_path, reaper, script)
    daemon.wait_until_said("b'content' True False")
    (tmp_path / "go").touch()
    assert daemon.wait() == 0
    assert not list(tmp_path.glob("tmp*"))


def test_what_is_kept_stays_usable(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        import multiprocessing, select, socket
        file, number = open("kept", "w+"), os.open("number", os.O_RDWR | os.O_CREAT)
        ours, theirs = socket.socketpair()
        one, other = multiprocessing.Pipe()
        epoll = select.epoll()
        stream = ours.makefile("w")
        with numen.DaemonContext(
            pidfile="pid", stderr="err", keep=[file, number, ours, theirs, one, other, epoll, stream]
        ) as daemon:
            daemon.ready()
            file.write("written later")
            file.flush()
            os.write(number, b"so was this")
            epoll.register(theirs, select.EPOLLIN)
            stream.write("over the socket")
            stream.flush()
            assert epoll.poll(5), "nothing came"
            one.send(theirs.recv(100))
            say(other.recv())
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script)
    daemon.wait_until_said("b'over the socket'")
    assert (tmp_path / "kept").read_text() == "written later"
    assert (tmp_path / "number").read_text() == "so was this"


# Who logs goes on logging


def test_files_that_are_logged_to_stay_open_and_are_rotated(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        import logging, logging.handlers
        logging.basicConfig(level=logging.INFO, handlers=[
            logging.FileHandler("plain"),
            logging.FileHandler("late", delay=True),
            logging.handlers.RotatingFileHandler("rotated", maxBytes=60, backupCount=5),
            logging.handlers.TimedRotatingFileHandler("timed"),
            logging.handlers.WatchedFileHandler("watched"),
            logging.handlers.MemoryHandler(1000, target=logging.FileHandler("memory")),
            logging.StreamHandler(open("stream", "w")),
            logging.StreamHandler(),
        ], format="%(message)s")
        logging.info("before it is a daemon")
        with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
            for number in range(3):
                logging.info("in the daemon, number %d", number)
            os.rename(f"{here}/watched", f"{here}/watched.1")
            logging.info("the last")
            daemon.ready()
            wait_for(f"{here}/go")
    """
    daemon = start_daemon(tmp_path, reaper, script)
    (tmp_path / "go").touch()
    assert daemon.wait() == 0

    inside = "".join(f"in the daemon, number {number}\n" for number in range(3)) + "the last\n"
    for name in ("plain", "late", "timed", "memory", "stream"):
        assert (tmp_path / name).read_text() == "before it is a daemon\n" + inside, name
    assert (tmp_path / "watched").read_text() == "the last\n"
    rotated = sorted(tmp_path.glob("rotated*"), reverse=True)
    assert len(rotated) > 1
    assert "".join(path.read_text() for path in rotated) == "before it is a daemon\n" + inside
    # What goes to stderr goes where stderr is: first the terminal, then the daemon's.
    assert (tmp_path / "err").read_text() == inside


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_syslog_socket_stays_connected(tmp_path: Path, reaper: Reaper, kind: socket.SocketKind) -> None:
    script = f"""
        import logging.handlers, socket
        handler = logging.handlers.SysLogHandler("log", socktype=socket.{kind.name})
        logging.getLogger().addHandler(handler)
        logging.error("before")
        with numen.DaemonContext(pidfile="pid", stderr="err", ready="open"):
            logging.error("after")
            rest()
    """
    with socket.socket(socket.AF_UNIX, kind) as log:
        log.bind(str(tmp_path / "log"))
        log.settimeout(30)
        if kind == socket.SOCK_STREAM:
            log.listen()
        start_daemon(tmp_path, reaper, script)
        if kind == socket.SOCK_DGRAM:
            assert [log.recv(100) for _ in range(2)] == [b"<11>before\0", b"<11>after\0"]
        else:
            connection, _ = log.accept()
            with connection:
                connection.settimeout(30)
                received = b""
                while received.count(b"\0") < 2:
                    received += connection.recv(100)
                assert received == b"<11>before\0<11>after\0"


def test_a_log_server_goes_on_hearing_over_the_same_connection(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        import logging.handlers
        logging.getLogger().addHandler(logging.handlers.SocketHandler("127.0.0.1", int(sys.argv[1])))
        logging.error("before")
        with numen.DaemonContext(pidfile="pid", stderr="err", ready="open"):
            logging.error("after")
            rest()
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        start_daemon(tmp_path, reaper, script, str(server.getsockname()[1]))
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as stream:
            messages = []
            for _ in range(2):
                (length,) = struct.unpack(">L", stream.read(4))
                messages.append(pickle.loads(stream.read(length))["msg"])
    assert messages == ["before", "after"]


def test_the_descriptors_of_handlers_are_those_that_are_open(tmp_path: Path) -> None:
    before = objects.logging_descriptors()
    stream = (tmp_path / "plain").open("w")
    plain = logging.StreamHandler(stream)
    late = logging.FileHandler(tmp_path / "late", delay=True)
    unusual = logging.StreamHandler((tmp_path / "closed").open("w"))
    unusual.stream.close()
    try:
        assert objects.logging_descriptors() - before == {stream.fileno()}
    finally:
        for handler in (plain, late, unusual):
            handler.close()
        stream.close()
