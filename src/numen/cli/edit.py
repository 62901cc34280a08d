"""`numen edit`: open the file that a daemon is defined in, check what was written, and let it take hold."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

from ..become.tail import printable
from ..errors import BadDefinition, BadOption, CommandNotFound, DaemonError, Unusable
from . import applying, asking, kept
from .main import complain, say
from .options import Option, Table
from .outcomes import ENDINGS, JSON, QUIET
from .words import no_daemon, read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..keep.definitions.definition import Definition

TABLE = Table(
    command="edit",
    usage=("numen edit [--no-restart] [--quiet] [--json] NAME",),
    description="Open the file that a daemon is defined in with $VISUAL or $EDITOR: its own, or that of the set that\n"
    "it comes from. It is a copy that is edited, and checked before it takes the place of the file; with a mistake in\n"
    "it nothing is changed, and you may go on. Then it takes hold as with numen apply: a daemon that runs is\n"
    "restarted where the change takes that.",
    epilog=f"""examples:
  numen edit web
  EDITOR=nano numen edit --no-restart web

{ENDINGS}8 a name is in use by a daemon from
elsewhere, 9 died before it was ready, 14 somebody stopped it meanwhile, 124 not ready in time,
127 there is no editor""",
    options=(
        Option(flags=("--no-restart",), help="restart nothing; what takes a restart waits for the next one"),
        QUIET,
        JSON,
    ),
)

EDITORS = ("editor", "vi", "nano")
"""Those that are looked for where no variable names one."""


def run(arguments: Sequence[str]) -> int:
    """Run `numen edit`; the exit status. Raises DaemonError."""
    values, names = read_mixed(TABLE, arguments)
    if len(names) != 1:
        raise BadOption("whom? Write one name: numen edit web")
    file = _File(names[0])
    editor = _editor()
    content = _edited(file, editor)
    if content is None:
        if not values["quiet"] and not values["json"]:
            say(f"{file.path} is as it was")
        return 0
    return _take_hold(file, content, values)


class _File:
    """The file that a daemon is defined in: its own, or that of a set."""

    def __init__(self, name: str) -> None:
        """Raises Unusable, NoPermission."""
        from ..keep.definitions import files, sets

        own = kept.definition_path(name)
        self.name = name
        self.source = None if name in kept.defined() else _source_of_several(name)
        if name in kept.defined():
            # One with mistakes in it is edited to mend it.
            self.source = _source_in(own)
        self.path = self.source or own
        self.before = files.read_content(self.path, sets.LARGEST_FILE)
        if not os.access(os.path.dirname(os.path.realpath(self.path)), os.W_OK):
            from ..errors import NoPermission

            raise NoPermission(f"cannot edit {self.path}: you may not write there")

    def read(self, content: bytes) -> Mapping[str, Definition]:
        """What it defines with this content, all of which can be carried out here. Raises DaemonError."""
        from ..keep.definitions import files, procfile, sets
        from ..keep.definitions.fitness import check_fit
        from ..keep.definitions.tables import bad_definition

        found: Mapping[str, Definition]
        if self.source is None:
            found = {self.name: files.from_text(content, self.path)}
            if found[self.name].source is not None:
                message = "it names the file of a set, and numen alone writes it"
                raise bad_definition([("source", message)], self.path, [(self.path, 1, 1)])
        elif sets.is_procfile(self.path):
            found = procfile.from_text(content, self.path)
        else:
            found = sets.from_text(content, self.path).definitions
        try:
            before = {} if content == self.before else self.read(self.before)
        except DaemonError:
            before = {}
        for name, one in found.items():
            if before.get(name) != one:
                try:
                    check_fit(one)
                except DaemonError as error:
                    raise Unusable(f"{name}: {error}") from error
        return found

    def write(self, content: bytes) -> None:
        """Let it have this content. Raises DaemonError where somebody else has changed it since."""
        from ..keep.definitions import editing, files, sets

        if files.read_content(self.path, sets.LARGEST_FILE) != self.before:
            raise DaemonError(f"somebody else has changed {self.path} meanwhile; it stays as he left it")
        editing.write(self.path, content)


def _source_of_several(name: str) -> str:
    """The file of the set that instances of a name come from. Raises Unusable where there are none."""
    from ..settings.names import template_of

    known = kept.defined()
    for one in known:
        if template_of(one) == name and (source := _source_in(kept.definition_path(one))):
            return source
    raise Unusable(no_daemon(name, known))


def _source_in(path: str) -> str | None:
    """The file of the set that a definition comes from, also one with mistakes in it. Raises Unusable, NoPermission."""
    from ..keep.definitions import files
    from ..keep.definitions.source import Source

    try:
        source = Source(files.read_content(path), path).table().get("source")
    except BadDefinition:
        return None
    return source if isinstance(source, str) and os.path.isabs(source) else None


def _editor() -> list[str]:
    """The editor's command. Raises CommandNotFound, BadOption."""
    for variable in ("VISUAL", "EDITOR"):
        if written := os.environ.get(variable, "").strip():
            try:
                return shlex.split(written)
            except ValueError as error:
                raise BadOption(f"cannot understand {variable}={written!r}: {error}") from None
    for name in EDITORS:
        if found := shutil.which(name):
            return [found]
    raise CommandNotFound(f"there is no editor; name one: EDITOR=nano numen edit; looked for {', '.join(EDITORS)}")


def _edited(file: _File, editor: Sequence[str]) -> bytes | None:
    """What a person has made of the file, without a mistake; `None` where nothing was changed. Raises DaemonError.

    Whatever it raises, the copy stays where it is no longer like the file.
    """
    directory = tempfile.mkdtemp(prefix="numen-edit.")
    # Its name tells the editor what it is.
    copy = os.path.join(directory, os.path.basename(file.path))
    with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as opened:
        opened.write(file.before)
    try:
        while True:
            _open(editor, copy)
            content = _content(copy)
            if content == file.before:
                return None
            try:
                file.read(content)
            except DaemonError as error:
                _tell(error)
                if _goes_on():
                    continue
                raise Unusable(f"nothing is changed: {file.path} is as it was") from error
            file.write(content)
            return content
    finally:
        # `file` is written only where all went well.
        _leave(directory, copy, file)


def _leave(directory: str, copy: str, file: _File) -> None:
    """Remove the copy, but where what stands in it is nowhere else."""
    from ..keep.definitions import files, sets

    try:
        known = (file.before, files.read_content(file.path, sets.LARGEST_FILE))
        is_elsewhere = _content(copy) in known
    except DaemonError:
        is_elsewhere = not os.path.exists(copy)
    if is_elsewhere:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        complain(f"numen edit: what you wrote stays here: {copy}")


def _open(editor: Sequence[str], copy: str) -> None:
    """Let a person edit the copy. Raises CommandNotFound, DaemonError."""
    # Ctrl-C and Ctrl-\\ are the editor's; it has them as they were, since handlers end with the execution.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        ended = subprocess.run([*editor, copy], check=False)
    except OSError as error:
        raise CommandNotFound(f"cannot run the editor {editor[0]}: {error.strerror}; EDITOR names another") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if ended.returncode:
        how = f"status {ended.returncode}" if ended.returncode > 0 else f"signal {-ended.returncode}"
        raise DaemonError(f"nothing is changed: the editor {editor[0]} ended with {how}")


def _content(copy: str) -> bytes:
    try:
        with open(copy, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise DaemonError(f"nothing is changed: cannot read {copy}: {error.strerror}") from error


def _tell(error: DaemonError) -> None:
    """Tell mistakes, each as compilers do, so that an editor can go there."""
    if not isinstance(error, BadDefinition):
        complain(printable(f"numen edit: {error}"))
        return
    for (key, message), (file, line, column) in zip(error.mistakes, error.places, strict=True):
        what = f"{key}: {message}" if key else message
        complain(printable(f"{file}:{line}:{column}: {what}"))


def _goes_on() -> bool:
    """Whether the person wants to mend it; who is not there does not."""
    if sys.stdin is None or sys.stderr is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print("Go on editing? [Y/n] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    return bool(answer) and not answer.strip().lower().startswith("n")


def _take_hold(file: _File, content: bytes, values: dict[str, Any]) -> int:
    """Apply what is written in the file now; the exit status. Raises DaemonError."""
    restart = not values["no_restart"]
    definitions = file.read(content)
    if file.source is not None:
        return applying.apply("edit", file.source, definitions, values, restart=restart)
    if not asking.is_open():
        # Nobody who rests is brought back for the sake of a change.
        if not values["quiet"] and not values["json"]:
            say(f"{file.path} is written; no supervisor runs, it takes hold when {file.name} is started")
        return 0
    return applying.apply("edit", None, definitions, values, [file.name], restart=restart)
