"""The cookbook: every recipe is a set, and those whose programs are here run as they stand."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import observe
from known_daemons import APART, CLEAN
from numen.keep.definitions.sets import from_text
from processes import ROOT, Reaper, numen_command

pytestmark = pytest.mark.once

PAGE = ROOT / "docs" / "guide" / "cookbook.md"

RECIPES = re.findall(r"^## \d+\. (.+?)\n.*?^```toml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("title", "text"), RECIPES, ids=[title for title, _ in RECIPES])
def test_a_recipe_is_a_set(title: str, text: str) -> None:
    assert from_text(text.encode(), "/srv/numen.toml").definitions, title


def test_no_recipe_is_left_out() -> None:
    assert len(RECIPES) == PAGE.read_text().count("```toml") == PAGE.read_text().count("\n## ") == 12


TRIED = {"nginx": "nginx", "Redis": "redis", "memcached": "memcached"}
"""The recipes that are run, and what each daemon is called."""

SCRIPT = """
    status=0
    "$0" apply --quiet "$1" || status=$?
    "$0" status --json > "$2"
    "$0" reload --quiet nginx || status=$?
    "$0" shutdown --quiet || status=$?
    exit $status
"""


@pytest.mark.needs_root
@pytest.mark.needs_package("nginx-light", command="nginx")
@pytest.mark.needs_package("redis-server")
@pytest.mark.needs_package("memcached")
def test_recipes_whose_programs_are_here_run_and_get_ready(public_path: Path, reaper: Reaper) -> None:
    public_path.chmod(0o755)
    file, told = public_path / "numen.toml", public_path / "status.json"
    file.write_text("\n".join(text for title, text in RECIPES if title in TRIED))
    file.chmod(0o644)
    before = set(observe.descendants(os.getpid()))

    done = subprocess.run(
        [*("unshare", "--mount", "--net", "sh", "-euc", APART, "sh", public_path, "nginx redis"),
         *("sh", "-uc", SCRIPT, numen_command(), file, told)],
        env={**CLEAN, "HOME": "/root", "NUMEN_HOME": str(public_path / "home")},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    for pid in set(observe.descendants(os.getpid())) - before:
        reaper.track(pid)
    assert done.returncode == 0, (done.stdout, done.stderr)
    found = {one["name"]: one["state"] for one in json.loads(told.read_text())}
    assert found == dict.fromkeys(TRIED.values(), "running")
