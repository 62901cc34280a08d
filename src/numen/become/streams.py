"""Where 0, 1 and 2 go: nowhere, a file, the journal, syslog, or where they went before.

All is opened beforehand, in the launcher, so that what cannot be written is said before anything was done.
"""

from __future__ import annotations

import os

from ..errors import BadOption, NoPermission, from_os_error
from ..kernel import files
from ..record import Record
from ..settings import places
from . import descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .forwarder import Source
    from .identity import Account
    from .tail import Tail

NULL, INHERIT, JOURNAL, SYSLOG, AUTO = "null", "inherit", "journal", "syslog", "auto"
"""The words; everything else is the path of a file. `auto` is the journal, else NAME.log."""

JOURNAL_STREAM = "/run/systemd/journal/stdout"
"""What `syslog.journal` calls STREAM_SOCKET: said again here, so that it is imported only where there is one."""

LOG_MODE = 0o640


class Opened(Record):
    """One standard stream, opened beforehand."""

    number: int
    descriptor: int
    """What is to be put onto `number`; -1 leaves it as it is."""
    where: str
    """In words, for the person who asks where the output goes."""
    kind: str = "file"
    """Which of the words it was; `file` for a path, `descriptor` for one that is the caller's own."""
    tail: Tail | None = None
    """How its last lines can be read again, if they can."""
    source: Source | None = None
    """What is to be forwarded to syslog, for a stream that goes there."""


def open_stream(number: int, target: str | int, ident: str, account: Account | None) -> Opened:
    """Open what a stream is to be connected with: one of the words, a path, or an open descriptor.

    Raises BadOption, Unusable or NoPermission.
    """
    if isinstance(target, int):
        descriptors.check_open([target])
        return Opened(number=number, descriptor=target, where=f"descriptor {target}", kind="descriptor")
    if number == 0 and target in (AUTO, JOURNAL, SYSLOG):
        raise BadOption(f"cannot read stdin from {target}: it is null, inherit or a file")
    if not target:
        raise BadOption("a stream goes to null, journal, syslog or a file, but not to an empty name")
    if target == INHERIT:
        return Opened(number=number, descriptor=-1, where="where it went before", kind=INHERIT)
    if target == NULL:
        return Opened(number=number, descriptor=_open_null(), where="nowhere (/dev/null)", kind=NULL)
    if target == AUTO:
        target = JOURNAL if _journal_listens() else os.path.join(places.log_directory(), f"{ident}.log")
    if target == JOURNAL:
        return _open_journal(number, ident)
    if target == SYSLOG:
        return _open_syslog(number, account)
    path = places.absolute(target)
    return _open_input(path) if number == 0 else _open_log(number, path, account)


def ident_for_log(ident: str) -> str:
    """The ident by which the system log knows the daemon: a name may hold what a log message's head may not."""
    return "".join(sign if "!" <= sign <= "~" and sign not in "[]:" else "_" for sign in ident)[:48]


def _journal_listens() -> bool:
    # Most often there is none, and then nothing need be imported to know it.
    if not os.path.exists(JOURNAL_STREAM):
        return False
    from .syslog.journal import has_journal_stream

    return has_journal_stream()


def _open_null() -> int:
    return os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)


def _open_input(path: str) -> Opened:
    try:
        descriptor = _open_at_once(path, os.O_RDONLY)
    except OSError as error:
        raise from_os_error(error, f"read stdin from {path}") from error
    return Opened(number=0, descriptor=descriptor, where=path)


def _open_journal(number: int, ident: str) -> Opened:
    from .syslog import journal
    from .tail import JournalTail

    ident = ident_for_log(ident)
    descriptor = journal.open_journal_stream(ident, "err" if number == 2 else "info")
    where = f"the journal (journalctl -t {ident})"
    return Opened(number=number, descriptor=descriptor, where=where, kind=JOURNAL, tail=JournalTail())


def _open_syslog(number: int, account: Account | None) -> Opened:
    from . import forwarder
    from .tail import PipeTail

    source = forwarder.open_source("err" if number == 2 else "info", account)
    return Opened(
        number=number,
        descriptor=source.writer,
        where=_where_syslog_is(),
        kind=SYSLOG,
        tail=PipeTail(source.echo_reader),
        source=source,
    )


def _where_syslog_is() -> str:
    if os.path.exists("/dev/log") or os.path.exists("/run/systemd/journal/socket"):
        return "syslog"
    return f"syslog, which is not there now (a file in {places.log_directory()} takes them meanwhile)"


def _open_log(number: int, path: str, account: Account | None) -> Opened:
    from .tail import FileTail

    try:
        descriptor = _open_for_append(path, account)
    except OSError as error:
        raise from_os_error(error, f"append to {path}") from error
    start = os.fstat(descriptor).st_size
    return Opened(number=number, descriptor=descriptor, where=path, tail=FileTail(path, start))


def _open_for_append(path: str, account: Account | None) -> int:
    """Open a log as the daemon's user, and only where that user may not, as root.

    Root must not follow what a user may have laid out for it: a link in the user's own directory would let
    the log be any file of the system.
    """
    if os.geteuid() != 0 or account is None or account.uid == 0:
        return _append(path, 0)
    own_groups = os.getgroups()
    os.setgroups(account.groups)
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        return _append(path, 0)
    except PermissionError:
        pass
    finally:
        os.seteuid(0)
        os.setegid(os.getgid())
        os.setgroups(own_groups)
    if part := files.untrusted_part(path):
        raise NoPermission(
            f"cannot append to {path}: {account.name} may not, and root will not where others write ({part})"
        )
    descriptor = _append(path, os.O_NOFOLLOW)
    if os.fstat(descriptor).st_size == 0:
        os.fchown(descriptor, account.uid, account.gid)
    return descriptor


def _append(path: str, more_flags: int) -> int:
    return _open_at_once(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | more_flags)


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting: a FIFO that nobody reads is an error (ENXIO, fifo(7)), not a launcher that hangs."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK, LOG_MODE)
    os.set_blocking(descriptor, True)
    return descriptor


def open_all(
    stdin: str | int, stdout: str | int, stderr: str | int, ident: str, account: Account | None
) -> tuple[Opened, Opened, Opened]:
    """Open the three streams; two that name the same file share it, so that neither overwrites the other."""
    opened: list[Opened] = []
    try:
        for number, target in enumerate((stdin, stdout, stderr)):
            if number == 2 and target == stdout and target not in (JOURNAL, SYSLOG):
                opened.append(opened[1].replace(number=2))
            else:
                opened.append(open_stream(number, target, ident, account))
    except BaseException:
        close(opened)
        raise
    return opened[0], opened[1], opened[2]


def install(streams: tuple[Opened, ...]) -> None:
    """Step 5, second half: put each stream where it belongs, open and inheritable."""
    # All are out of the way before the first is put: stderr may be what stdout was.
    sources = [out_of_the_way(stream.number, stream.descriptor) for stream in streams]
    for stream, source in zip(streams, sources, strict=True):
        if source >= 0:
            descriptors.put(source, stream.number)
        if source != stream.descriptor:
            os.close(source)
    close(streams)
    descriptors.open_missing_standard_streams()


def out_of_the_way(number: int, source: int) -> int:
    """What is to be put onto a standard stream: a copy, where it is itself another of the standard streams."""
    if source not in descriptors.STANDARD_STREAMS or source == number:
        return source
    import fcntl

    return fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, 3)


def close(streams: Sequence[Opened]) -> None:
    """Close what was opened here; a descriptor that the caller gave is the caller's."""
    ours = {stream.descriptor for stream in streams if stream.kind != "descriptor"}
    for source in (stream.source for stream in streams):
        if source is not None:
            ours |= {source.reader, source.writer, source.echo_reader, source.echo_writer}
    for one in ours:
        if one > 2 and descriptors.is_open(one):
            os.close(one)


def journal_stream_variable(streams: tuple[Opened, ...]) -> str | None:
    """JOURNAL_STREAM (systemd.exec(5)) where stderr goes to the journal; `None` where it does not."""
    stderr = streams[2]
    if stderr.kind != JOURNAL:
        return None
    found = os.fstat(stderr.descriptor)
    return f"{found.st_dev}:{found.st_ino}"


def check_not_forwarded(streams: tuple[Opened, ...]) -> None:
    """Raise BadOption where a stream of a program in the foreground is to go to syslog."""
    for stream in streams:
        if stream.source is not None:
            raise BadOption("syslog is for the background: in the foreground nobody is there to forward to it")


def check_not_inherited(streams: tuple[Opened, ...]) -> None:
    """Raise BadOption where a stream of a daemon in the background is to stay the terminal's."""
    for stream in streams:
        if stream.descriptor < 0:
            raise BadOption("inherit is for the foreground: a daemon must not hold the caller's terminal or pipe")
