"""numen edit: with programs for an editor, and with a person at a terminal."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keeping import call, definition, numen, pid_of, start, states
from processes import Terminal, numen_command, run_numen

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def _supervisor(numen_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("VISUAL", raising=False)
    yield
    assert run_numen("shutdown", "--quiet").returncode in (0, 7)


def by(editor: str) -> dict[str, Any]:
    return {"env": {"EDITOR": editor}}


def test_of_a_file_of_its_own_what_can_takes_hold_at_once(numen_home: Path) -> None:
    pid, other = start("web"), start("other")
    path = definition("web")
    path.write_text(f"# mine\n{path.read_text()}")
    assert "as it was" in numen("edit", "web", **by("true"))

    numen("edit", "web", **by("sed -i '1a restart = \"never\"'"))
    assert path.read_text().startswith('# mine\nrestart = "never"')
    assert call("Describe", name="web")["definition"]["restart"] == "never"
    assert "takes hold with: numen restart" in numen("edit", "--no-restart", "web", **by("sed -i s/1000/1001/"))
    assert pid_of("web") == pid

    said = numen("edit", "web", **by("sed -i s/1001/1002/"))
    assert re.search(r"~ web \(is restarted\)\n    command: .*1000.* → .*1002", said)
    assert (pid_of("web") != pid, pid_of("other")) == (True, other)
    assert path.stat().st_mode & 0o777 == 0o600

    numen("stop", "--quiet", "web")
    numen("edit", "web", **by("sed -i s/1002/1003/"))
    assert states()["web"] == "stopped"
    numen("shutdown", "--quiet")
    assert "no supervisor runs" in numen("edit", "web", **by("sed -i s/1003/1004/"))
    assert "1004" in path.read_text()


def test_nothing_that_was_written_is_lost(public_path: Path) -> None:
    file = public_path / "numen.toml"
    file.write_text('[daemon.web]\ncommand = ["sleep", "1000"]\n')
    numen("apply", "--quiet", file)
    before, pid = file.read_text(), pid_of("web")

    for editor, status, words in (
        ("sed -i s/command/comand/", 6, rf"{file}:2:1: daemon.web.comand: "),
        ("sed -i '1a user = \"nobody-such\"'", 6, "nobody-such"),
        ("sh -c 'echo lost >> $0; exit 3'", 1, "ended with status 3"),
        (f"sh -c 'echo >> $0; echo nice = 1 >> $0; echo >> {file}'", 1, "somebody else"),
    ):
        file.write_text(before)
        said = numen("edit", "web", status=status, **by(editor))
        assert words in said
        copy = Path(re.search("stays here: (.*)", said)[1])  # type: ignore[index]
        assert copy.read_text() != before
        copy.unlink()
        copy.parent.rmdir()
        assert file.read_text().rstrip() == before.rstrip()
    assert pid_of("web") == pid
    assert "cannot run the editor" in numen("edit", "web", status=127, **by("no-such-editor"))
    assert "did you mean web?" in numen("edit", "wed", status=6)

    numen("edit", "--quiet", "web", **by("sed -i s/1000/1001/"))
    assert pid_of("web") != pid


def test_a_person_may_go_on_or_give_up(numen_home: Path, tmp_path: Path) -> None:
    pid = start("web")
    editor = tmp_path / "editor"
    # The first time it makes a mistake; the second time it mends it.
    editor.write_text("#!/bin/sh\nif grep -q nise $1; then sed -i s/nise/nice/ $1; else sed -i '1i nise = 0' $1; fi\n")
    editor.chmod(0o755)
    for answer, status in (("n\n", 6), ("\n", 0)):
        with Terminal([numen_command(), "edit", "web"], env={"EDITOR": str(editor)}) as terminal:
            terminal.read_until("Go on editing?")
            terminal.type_in(answer)
            done = terminal.finish()
        assert done.returncode == status, done.stdout
        if status:
            copy = Path(re.search("stays here: (\\S*)", done.stdout)[1])  # type: ignore[index]
            copy.unlink()
            copy.parent.rmdir()
    assert pid_of("web") != pid
