"""Many definition files replaced at once: all of them or none, whenever who does it is killed.

They are written into a directory beside the files. Its renaming is the instant from which they hold; whoever comes next
moves them to their places, and does the same again where he is killed too. `control.applying` is the caller, and `loop`
at its start.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress

from ...errors import from_os_error
from ...kernel.files import write_beside
from ...settings.places import ENDING
from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .definition import Definition

BEGUN, COMMITTED, REMOVED = ".replacing.new", ".replacing", ".removing"
"""The directory until and from the instant at which it holds, and the file with the names that are to be removed.

Each begins with a dot, so nobody takes it for a definition.
"""


def replace(directory: str, definitions: Mapping[str, Definition], removed: Iterable[str], heading: str) -> None:
    """Let these be the definitions, and remember which are to be removed. Raises DaemonError: nothing has changed then.

    What ends it half done is done by who calls finish() next.
    """
    begun, committed = os.path.join(directory, BEGUN), os.path.join(directory, COMMITTED)
    left = [name for name in finish(directory) if name not in definitions]
    import shutil  # with all that it imports, more than a supervisor needs until then

    try:
        shutil.rmtree(begun, ignore_errors=True)
        os.mkdir(begun, 0o700)
        for name, definition in definitions.items():
            _write(os.path.join(begun, f"{name}{ENDING}"), files.to_text(definition, heading))
        _write(os.path.join(begun, REMOVED), json.dumps(sorted({*removed, *left})).encode())
        os.rename(begun, committed)
    except OSError as error:
        shutil.rmtree(begun, ignore_errors=True)
        raise from_os_error(error, f"write the definitions in {directory}") from error
    finish(directory)


def finish(directory: str) -> list[str]:
    """Do what is left to do; the names of the daemons that are to be stopped and removed still. Raises DaemonError."""
    committed = os.path.join(directory, COMMITTED)
    try:
        with suppress(FileNotFoundError):
            for entry in files.entries(committed):
                _move(os.path.join(committed, entry), os.path.join(directory, entry))
            os.replace(os.path.join(committed, REMOVED), os.path.join(directory, REMOVED))
        with suppress(FileNotFoundError):
            os.rmdir(committed)
        with open(os.path.join(directory, REMOVED), "rb") as file:
            return [name for name in json.loads(file.read()) if isinstance(name, str)]
    except (FileNotFoundError, ValueError):  # or nothing that was written here
        return []
    except OSError as error:
        raise from_os_error(error, f"write the definitions in {directory}") from error


def _move(written: str, place: str) -> None:
    """Who keeps his files elsewhere, and links to them, has them there still, on another file system too."""
    target = os.path.realpath(place)
    try:
        os.rename(written, target if os.path.isdir(os.path.dirname(target)) else place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with open(written, "rb") as file:
            write_beside(target, file.read(), files.MODE)
        os.unlink(written)


def removed(directory: str, names: Iterable[str]) -> None:
    """These are, or need be no longer. Raises DaemonError."""
    left = sorted({*finish(directory)}.difference(names))
    path = os.path.join(directory, REMOVED)
    with suppress(FileNotFoundError):
        if left:
            write_beside(path, json.dumps(left).encode(), files.MODE)
        else:
            os.unlink(path)


def _write(path: str, content: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, files.MODE), "wb") as file:
        file.write(content)
