"""The manual tells the truth: its examples run, its tables are the code's, its links lead somewhere.

How a page writes its examples stands in CONTRIBUTING.md, under "Examples in the manual".
"""

import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

import numen
from numen import errors, notify
from numen.become.recipe import Recipe
from numen.cli.completion import tables
from numen.cli.options import Table
from processes import ROOT, wait_for

TESTED_ELSEWHERE = {
    "docs/guide/system-log.md": "wants a system log of its own: test_syslog.py and its neighbours have one",
    "docs/pep3143.md": "wants another distribution: the tests of pep3143 have it",
}

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
MAN_PAGES = sorted(ROOT.glob("man/*.1"))

EXAMPLE_DEADLINE_SECONDS = 60

MAIN_JOB = "examples/clock/run.py"
"""What `make run` runs."""

PLACE = "/srv/demo"
"""How the manual calls the directory in which its examples run."""

CHANGING = (
    (r"(\bpid|\bsession|\bgroup|\"pid\":|\"last_pid\":) \d+|/proc/\d+", r"\1 N"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", "DATE"),
    (r"^NAME +STATE +SINCE +PID +RESTARTS +CPU +MEMORY +WHY$", "NAME STATE SINCE PID RESTARTS CPU MEMORY WHY"),
    (r"^(\S+) +(\w+) +DATE +\d+ +(\d+) +[\d.]+% +[\d.]+[BKMG] +", r"\1 \2 DATE N \3 CPU MEMORY "),
    (r"^(\S+) +(\w+) +DATE +- +(\d+) +- +- +", r"\1 \2 DATE - \3 - - "),
    (r"^\d\d:\d\d:\d\d$", "TIME"),
    (r"DATE \([\d. dhms]+\)", "DATE (AGE)"),
    (r"(\"since\":|\"uptime\":) [\d.]+", r"\1 N"),
    (r"^NAME +PID +STATE +UPTIME +COMMAND$", "NAME PID STATE UPTIME COMMAND"),
    (r" +\d+ +running +[\d.]+m?s +", " N running AGE "),
    (r"(?:\$DIR/log|/var/log/numen)/[\w-]+\.log|the journal \(journalctl -t [\w-]+\)|socket:\[\d+\]", "LOG"),
)
"""What differs from one run to the next, or from one machine to another, and what stands for it in a comparison."""

ELLIPSIS = "…"
"""On a line of its own it stands for any lines; within a line, for anything."""


FENCED = (
    r"^(?:<!-- wait until: (?P<condition>.+?) -->\n\n)?"
    r'```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$'
)


class Block(NamedTuple):
    """A fenced block of a page."""

    line: int
    language: str
    title: str
    """The name of the file that it is; empty where it is none."""
    text: str
    waits_for: str = ""
    """The command that must succeed before it; a reader does not see it."""


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in re.finditer(FENCED, text, re.M | re.S):
        line = text.count("\n", 0, match.start("language")) + 1
        yield Block(line, match["language"], match["title"] or "", match["text"], match["condition"] or "")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


# The examples


@pytest.fixture
def supervisor_ended(public_path: Path) -> Iterator[None]:
    """The supervisor that a page has started is ended with its daemons, whether the page says so or not."""
    yield
    if (Path(os.environ["NUMEN_HOME"]) / "run" / "keeper.lock").exists():
        assert run("numen shutdown --quiet", public_path).returncode == 0


@pytest.mark.usefixtures("supervisor_ended")
@pytest.mark.parametrize("page", [page for page in PAGES if named(page) not in TESTED_ELSEWHERE], ids=named)
def test_every_example_of_a_page_does_what_the_page_says(page: Path, numen_home: Path, public_path: Path) -> None:
    for block in blocks(page):
        if block.waits_for:
            what = f"{named(page)}:{block.line}: {block.waits_for}"
            wait_for(partial(succeeds, block.waits_for, public_path), 30, what)
        if block.title:
            (public_path / block.title).write_text(block.text)
        elif block.language == "python":
            script = public_path / f"line-{block.line}.py"
            script.write_text(block.text)
            done = run(f"python3 {script.name}", public_path)
            assert done.returncode == 0, f"{named(page)}:{block.line}: {done.stdout}"
        elif block.language == "console":
            check_session(block, named(page), public_path, numen_home)


def check_session(block: Block, page: str, place: Path, numen_home: Path) -> None:
    """Type the commands of a block into one shell, and compare what each prints with what the page prints."""
    commands = list(parse_session(block.text))
    assert commands, f"{page}:{block.line}: a console block without a command"
    typed = [f'(exit $status)\n{command}\nstatus=$?; printf "\\036"\n' for command, _ in commands]
    done = run("status=0\n" + "".join(typed), place)
    outputs = done.stdout.split("\036")[:-1]
    assert len(outputs) == len(commands), f"{page}:{block.line}: the shell ended early: {done.stdout}"
    for (command, printed), output in zip(commands, outputs, strict=True):
        real = output.replace(f"{numen_home}/log", "/var/log/numen").replace(f"{numen_home}/run", "/run/numen")
        real = re.sub(f"{Path(sys.executable).parent}/python[0-9.]*", "python3", real.replace(str(place), PLACE))
        shown = comparable(real)
        assert pattern(printed).fullmatch(shown), (
            f"{page}:{block.line}: {command}\nprints\n{shown}\nand the page says\n{comparable(printed)}"
        )


def parse_session(text: str) -> Iterator[tuple[str, str]]:
    """Each command after `$ `, with its further lines after `> `, and what is printed under it.

    `make run` prints such lines itself, so that a block which begins with it has no other command.
    """
    if text.startswith("$ make run\n"):
        yield "make run\n", text.removeprefix("$ make run\n")
        return
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        first, *rest = part.splitlines(keepends=True)
        more = 0
        while more < len(rest) and rest[more].startswith("> "):
            more += 1
        yield first + "".join(line[2:] for line in rest[:more]), "".join(rest[more:])


def run(commands: str, place: Path) -> subprocess.CompletedProcess[str]:
    """Run them in a shell whose `numen` and `python3` are the environment's; `make run` runs what the Makefile does."""
    main_job = f'make() {{ test "$*" = run && python3 "{ROOT / MAIN_JOB}"; }}\n'
    return subprocess.run(
        ["bash", "-c", main_job + commands],
        cwd=place,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=EXAMPLE_DEADLINE_SECONDS,
        check=False,
    )


def succeeds(command: str, place: Path) -> bool:
    return run(command, place).returncode == 0


def comparable(text: str) -> str:
    """The text with what changes from run to run made the same, and without blanks at the ends of lines."""
    for changing, same in CHANGING:
        text = re.sub(changing, same, text, flags=re.M)
    return "".join(f"{line.rstrip()}\n" for line in text.strip("\n").split("\n") if text.strip("\n"))


def pattern(printed: str) -> re.Pattern[str]:
    """What matches the output that a page prints."""
    lines = []
    for line in comparable(printed).splitlines():
        if line.strip() == ELLIPSIS:
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(".*".join(re.escape(part) for part in line.split(ELLIPSIS)) + r"\n")
    return re.compile("".join(lines))


def test_an_example_is_held_to_what_is_printed_under_it() -> None:
    assert list(parse_session("$ cat <<X\n> a\n> X\na\n$ true\n")) == [("cat <<X\na\nX\n", "a\n"), ("true\n", "")]
    assert pattern("web is up: pid 12\n…\n").fullmatch(comparable("web is up: pid 9876\n1\n2\n"))
    assert not pattern("web is up: pid 12\n").fullmatch(comparable("web is down: pid 12\n"))
    assert not pattern("").fullmatch(comparable("something\n"))


def test_make_run_is_what_the_manual_s_transcript_shows() -> None:
    assert MAIN_JOB in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("page", TESTED_ELSEWHERE)
def test_a_page_that_is_tested_elsewhere_exists(page: str) -> None:
    assert (ROOT / page).exists()


# The tables


def test_what_is_generated_is_what_the_code_has_now() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools/make_docs.py", "--check"], capture_output=True, text=True, check=False
    )

    assert (done.stdout + done.stderr, done.returncode) == ("", 0), "python tools/make_docs.py mends it"


@pytest.mark.parametrize("table", tables().values(), ids=lambda table: table.command)
def test_every_option_is_in_the_manual_and_in_the_manual_page(table: Table) -> None:
    page = (ROOT / f"docs/commands/{table.command}.md").read_text()
    man_page = (ROOT / f"man/numen-{table.command}.1").read_text().replace("\\-", "-")

    flags = [flag for option in table.options for flag in option.flags]
    assert [flag for flag in flags if f"`{flag}" not in page or f"\\fB{flag}\\fR" not in man_page] == []


def test_every_error_and_exit_status_is_in_the_manual() -> None:
    page = (ROOT / "docs/exit-statuses.md").read_text()
    man_page = (ROOT / "man/numen-detach.1").read_text()
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, numen.DaemonError)]

    assert len(kinds) >= 12
    for kind in kinds:
        assert f"| {kind.exit_status} | `{kind.__name__}` |" in page
        assert f"\\fB{kind.exit_status}\\fR" in man_page


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("context", list(inspect.signature(numen.DaemonContext).parameters)),
        ("context", [name for name in vars(numen.DaemonContext) if not name.startswith("_")]),
        ("spawn", [*Recipe.fields(), "ready", "timeout"]),
        ("instance", [name for name in vars(numen.Instance) if not name.startswith("_")]),
        ("notify", notify.__all__),
    ],
)
def test_every_name_of_the_library_is_on_its_page(page: str, names: list[str]) -> None:
    text = (ROOT / f"docs/library/{page}.md").read_text()

    assert names
    assert [name for name in names if not re.search(rf"`{name}\b", text)] == []


def test_every_step_that_is_told_of_can_be_imported() -> None:
    called = re.findall(r"`(?:numen\.)?(?:become\.)?([\w.]+)\(", (ROOT / "docs/library/steps.md").read_text())
    dotted = [name.split(".") for name in called if "." in name]

    assert len(dotted) >= 20
    for module, *names in dotted:
        found: object = import_module("numen.syslog" if module == "syslog" else f"numen.become.{module}")
        for name in names:
            found = getattr(found, name)
        assert callable(found)


def test_every_default_of_the_context_is_the_one_on_its_page() -> None:
    text = (ROOT / "docs/library/context.md").read_text()

    for name, parameter in inspect.signature(numen.DaemonContext).parameters.items():
        default = f"0o{parameter.default:03o}" if name == "umask" else repr(parameter.default)
        assert f"| `{name}` | `{default.replace(chr(39), chr(34))}` |" in text


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs/dependencies.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    required = [*project["project"]["dependencies"], *chain(*project["dependency-groups"].values())]
    wanted = re.search(r"^packages=\((.*?)^\)", (ROOT / ".ci/run").read_text(), re.M | re.S)

    assert wanted
    packages = [name for line in wanted[1].splitlines() for name in line.partition("#")[0].split()]
    names = [re.split("[=>]=", requirement)[0] for requirement in required]
    assert [name for name in [*names, *packages] if f"`{name}`" not in text] == []


@pytest.mark.needs_package("groff-base", command="groff")
@pytest.mark.parametrize("page", MAN_PAGES, ids=named)
def test_a_manual_page_renders_without_a_warning(page: Path) -> None:
    command = ["groff", "-ww", "-man", "-Tutf8", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.stderr, done.returncode) == ("", 0)


# The links


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    missing = []
    for target, anchor in links(page):
        if not target.exists():
            missing.append(str(target))
        elif anchor and anchor not in anchors(target):
            missing.append(f"{target}#{anchor}")

    assert missing == []


def test_every_page_of_the_manual_can_be_reached_from_the_readme() -> None:
    reached, unseen = set(), [ROOT / "README.md"]
    while unseen:
        page = unseen.pop()
        if page not in reached:
            reached.add(page)
            unseen += [target for target, _ in links(page) if target.suffix == ".md" and target.exists()]

    assert sorted(set(PAGES) - reached) == []


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The files that a page links to, each with the heading's anchor if there is one."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    for target, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)", prose):
        yield (page.parent / target).resolve() if target else page, anchor


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for _, text in headings(page)}


def headings(page: Path) -> list[tuple[int, str]]:
    """The headings of a page, each with its level."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    return [(len(marks), text) for marks, text in re.findall(r"^(#+) (.*)$", prose, re.M)]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_has_one_title_and_leaves_out_no_level(page: Path) -> None:
    levels = [level for level, _ in headings(page)]

    assert levels[:1] == [1]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_both_readmes_have_the_same_sections_and_the_same_examples() -> None:
    english, chinese = ROOT / "README.md", ROOT / "README.zh-CN.md"

    assert [level for level, _ in headings(english)] == [level for level, _ in headings(chinese)]
    assert [block[1:] for block in blocks(english)] == [block[1:] for block in blocks(chinese)]
    assert table_links(english) == table_links(chinese)


def table_links(page: Path) -> list[str]:
    """Where the rows of the page's tables lead to."""
    return [link for row in re.findall(r"^\|.*$", page.read_text(), re.M) for link in re.findall(r"\]\((.*?)\)", row)]
