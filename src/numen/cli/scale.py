"""`numen scale`: more or fewer instances of a daemon, in the file of its set and at once."""

from __future__ import annotations

import os

from ..errors import BadOption, Unusable
from . import applying, asking, kept
from .main import say
from .options import Option, Table
from .outcomes import ENDINGS, JSON, QUIET
from .words import no_daemon, read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ..keep.definitions.definition import Definition
    from ..keep.definitions.sets import DaemonSet

TABLE = Table(
    command="scale",
    usage=("numen scale [OPTIONS] NAME=NUMBER...",),
    description="Let there be so many instances of a daemon: NAME@1, NAME@2 and so on. `instances` is set in the file\n"
    "of the set that it comes from, whose comments stay; then those that are missing are started, and those that are\n"
    "too many stopped and removed. No other is touched, whatever else has changed in the file.",
    epilog=f"""examples:
  numen scale worker=4
  numen scale worker=8 mailer=2 --dry-run

{ENDINGS}8 a name is in use by a daemon from
elsewhere, 9 died before it was ready, 14 somebody stopped it meanwhile, 124 not ready in time""",
    options=(
        Option(
            flags=("--file", "-f"),
            metavar=("FILE",),
            help="the file of the set, where that is not the one of the instances that there are, nor ./numen.toml",
        ),
        Option(flags=("--dry-run", "-n"), help="show the difference, and change nothing"),
        QUIET,
        JSON,
    ),
)

KEEPS_ORDER = ("after", "requires", "restart_with")
"""The keys in which others name the instances."""


def run(arguments: Sequence[str]) -> int:
    """Run `numen scale`; the exit status. Raises DaemonError."""
    values, words = read_mixed(TABLE, arguments)
    numbers = dict(map(_number, words))
    if not numbers:
        raise BadOption("which, and how many? numen scale worker=4")
    source = _source(numbers, values["file"])
    from ..keep.definitions import editing, files, sets
    from ..keep.definitions.set_tables import DAEMON

    if sets.is_procfile(source):
        raise Unusable(f"{source} is a Procfile, which has one of each; a numen.toml has `instances = 4` in a table")
    content = files.read_content(source, sets.LARGEST_FILE)
    before = sets.from_text(content, source)
    _check_several(numbers, before, source)
    if before.definitions and before.definitions.keys().isdisjoint(kept.defined()):
        raise Unusable(f"nothing of {source} is kept yet; write the number there, then: numen apply {source}")
    for name, number in numbers.items():
        content = editing.with_value(content, (DAEMON, name, "instances"), number, source)
    after = sets.from_text(content, source)
    wanted, only = _touched(tuple(numbers), source, before.definitions, after.definitions)
    # Whatever hinders it is told before the file is changed.
    asking.start_supervisor()
    asking.ask("Apply", applying.call(source, wanted, only, dry_run=True))
    changed = {name: number for name, number in numbers.items() if before.instances[name] != number}
    if changed and not values["dry_run"]:
        editing.write(source, content)
    if not values["quiet"] and not values["json"]:
        for name, number in changed.items():
            say(f"{name}: {before.instances[name]} → {_instances(number)} in {source}")
    if not only:
        if not changed and not values["quiet"] and not values["json"]:
            say(", ".join(f"{name} has {_instances(number)} already" for name, number in numbers.items()))
        return 0
    return applying.apply("scale", source, wanted, values, only)


def _number(word: str) -> tuple[str, int]:
    """What is asked for. Raises BadOption."""
    from ..keep.definitions.instances import number_of

    name, separator, number = word.partition("=")
    if not name or not separator or not (number.isascii() and number.isdigit()) or len(number) > 9:
        raise BadOption(f"{word!r} is no name and number: numen scale worker=4")
    return name, number_of(int(number))


def _instances(number: int) -> str:
    return f"{number} instance{'s' * (number != 1)}"


def _source(names: Iterable[str], file: str | None) -> str:
    """The file of the set. Raises BadOption, Unusable and what reading a definition raises."""
    if file is not None:
        return applying.source_of([file], "scale")
    found = {source for name in names for source in _kept(name)}
    if len(found) > 1:
        raise BadOption(f"they come from several files; scale those of one at a time: {', '.join(sorted(found))}")
    if found:
        return found.pop()
    source = applying.source_of([], "scale")
    if not os.path.lexists(source):
        raise Unusable(f"{no_daemon(next(iter(names)), kept.defined())}; and there is no numen.toml here (--file FILE)")
    return source


def _kept(name: str) -> set[str]:
    """The files that the instances of a name come from. Raises Unusable for what is no name of several."""
    from ..settings.names import template_of

    known = kept.defined()
    template = template_of(name)
    if template is not None and name in known:
        raise Unusable(f"{name} is one of the instances of {template}: numen scale {template}=4")
    sources = [_definition(one).source for one in known if one == name or template_of(one) == name]
    if name in known and None in sources:
        raise Unusable(
            f"there is one {name}, as it comes from no file of a set; for several, write a table [daemon.{name}] with"
            f" `instances = 4` into a numen.toml, then: numen remove {name} && numen apply"
        )
    return {one for one in sources if one is not None}


def _definition(name: str) -> Definition:
    from ..keep.definitions import files

    return files.read(kept.definition_path(name))


def _check_several(names: Iterable[str], found: DaemonSet, source: str) -> None:
    """Raise Unusable where one of the names is not that of several."""
    for name in names:
        if name in found.instances:
            continue
        if name not in found.definitions:
            raise Unusable(f"{no_daemon(name, [*found.definitions, *found.instances])} in {source}")
        how = f"`instances = 4` into [daemon.{name}], then: numen apply {source}"
        raise Unusable(f"there is one {name} in {source}, to be several write {how}; {name}@1 then takes its place")


def _touched(
    names: Collection[str | None], source: str, before: Mapping[str, Definition], after: Mapping[str, Definition]
) -> tuple[dict[str, Definition], set[str]]:
    """What is wanted of those who come, and of those who wait for them; and all whom it concerns, who go, too."""
    from ..settings.names import template_of

    known = kept.defined()
    there = {one for one in known if template_of(one) in names and _definition(one).source == source}
    come = {one for one in after if template_of(one) in names and one not in there}
    wanted = {name: after[name] for name in after if name in come}
    # Who names them all names the new ones too; all else in his definition stays as it is kept.
    for name, one in after.items():
        order = {key: getattr(one, key) for key in KEEPS_ORDER}
        if name not in wanted and name in known and name in before:
            changed = any(getattr(before[name], key) != value for key, value in order.items())
            if changed and (standing := _definition(name)).source == source:
                wanted[name] = standing.replace(**order)
    return wanted, {*wanted, *there.difference(after)}
