"""The first numen.toml of a project: of its Procfile, its manage.py or its package.json, or an example."""

from __future__ import annotations

import json
import os

from . import files, procfile
from .sets import PROCFILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST_FILE = 2**20

_HEAD = """\
# The daemons of this directory. Every key: docs/definition.md of numen, or `numen start --help`.
#
#   numen check    tell every mistake here
#   numen up       run them in the foreground
#   numen apply    keep them running; the same again after each change
#
# Paths are meant from this directory, and programs without a slash are looked for in PATH.

[defaults]
# restart = "on-failure"
# environment = { LANG = "C.UTF-8" }
"""

_DJANGO = """
[daemon.web]
command = {command}
environment_files = ["-.env"]
ready = "tcp://127.0.0.1:8000"

# [daemon.worker]
# instances = 2
# command = {worker}
# after = ["web"]
"""

_EXAMPLE = """
[daemon.web]
command = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "8000"]
ready = "tcp://127.0.0.1:8000"

# [daemon.worker]
# instances = 2
# command = ["bin/worker", "--number", "%i"]
# after = ["web"]

# [daemon.clean]
# command = ["bin/clean"]
# schedule.cron = "30 2 * * *"
"""


def text(directory: str) -> str:
    """What its numen.toml may say. Raises BadDefinition for a Procfile with mistakes, Unusable, NoPermission."""
    path = os.path.join(directory, PROCFILE)
    if os.path.lexists(path):
        return _HEAD + _of_procfile(path)
    if os.path.lexists(os.path.join(directory, "manage.py")):
        python = _python(directory)
        command = [python, "manage.py", "runserver", "--noreload", "127.0.0.1:8000"]
        return _HEAD + _DJANGO.format(command=_list(command), worker=_list([python, "manage.py", "worker"]))
    if "start" in _scripts(os.path.join(directory, "package.json")):
        return f'{_HEAD}\n[daemon.web]\ncommand = ["npm", "start"]\nenvironment_files = ["-.env"]\n'
    return _HEAD + _EXAMPLE


def _of_procfile(path: str) -> str:
    found = procfile.from_text(files.read_content(path, LARGEST_FILE), path)
    tables = [
        f'\n[daemon.{_key(name)}]\ncommand = {_list(one.command)}\nrestart = "{one.restart}"\n'
        f'environment = {{ PORT = "{one.environment["PORT"]}" }}\nenvironment_files = ["-.env"]\n'
        for name, one in found.items()
    ]
    return "".join(tables)


def _python(directory: str) -> str:
    for name in (".venv", "venv"):
        if os.path.exists(os.path.join(directory, name, "bin", "python")):
            return f"{name}/bin/python"
    return "python3"


def _scripts(path: str) -> dict[str, Any]:
    """What npm can run; nothing where the file is none that npm could read."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(LARGEST_FILE))["scripts"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _key(name: str) -> str:
    is_bare = all(c.isascii() and (c.isalnum() or c in "-_") for c in name)
    return name if is_bare else json.dumps(name, ensure_ascii=False)


def _list(words: tuple[str, ...] | list[str]) -> str:
    """As TOML has it, whose text is that of JSON but for what cannot stand there as it is."""
    return json.dumps(list(words), ensure_ascii=False).replace("\x7f", "\\u007f")
