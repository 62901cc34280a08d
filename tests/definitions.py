"""Definitions as Hypothesis makes them up: any that a file can hold."""

from typing import Any

from hypothesis import strategies as st

from numen.become.identity import CAPABILITIES
from numen.keep.definitions.definition import Definition
from numen.keep.definitions.kinds import LARGEST, LONGEST
from numen.settings.limits import LIMITS

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Z", "C"], exclude_characters="=:"), min_size=1, max_size=10)
PATHS = TEXT.map(lambda text: f"/{text}")
SIGNALS = st.sampled_from([1, 2, 3, 6, 10, 12, 14, 15, 17, 18])
ENDINGS = st.lists(st.integers(0, 255) | SIGNALS.map(lambda number: -number), unique=True, max_size=5).map(tuple)


def seconds(lowest: float) -> st.SearchStrategy[float]:
    plain = st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0, 1.5, 10.0, 60.0, 90.0, 3600.0, 86400.0, 86401.0])
    return plain.filter(lambda one: one >= lowest) | st.floats(lowest, LONGEST)


@st.composite
def stops(draw: st.DrawFn) -> tuple[tuple[int, float], ...]:
    steps = draw(st.lists(st.tuples(SIGNALS, seconds(0)), max_size=4))
    return (*steps, (9, draw(seconds(0))))


@st.composite
def limits(draw: st.DrawFn) -> dict[str, tuple[int, int]]:
    def pair() -> tuple[int, int]:
        soft, hard = sorted(draw(st.tuples(*[st.integers(0, LARGEST)] * 2)))
        chosen: tuple[int, int] = draw(st.sampled_from([(soft, hard), (soft, soft), (soft, -1), (-1, -1)]))
        return chosen

    return {name: pair() for name in draw(st.lists(st.sampled_from(list(LIMITS)), unique=True, max_size=4))}


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    values: dict[str, Any] = {
        "directory": PATHS,
        "umask": st.integers(0, 0o777),
        "environment": st.dictionaries(NAMES, TEXT, max_size=4),
        "environment_files": st.lists(PATHS | PATHS.map(lambda path: f"-{path}"), max_size=3).map(tuple),
        "user": NAMES,
        "group": NAMES,
        "groups": st.lists(NAMES, max_size=3).map(tuple),
        "ready": st.sampled_from(["exec", "notify", "fd:3", "fd:65535"]),
        "ready_timeout": seconds(0.1),
        "restart": st.sampled_from(["always", "on-failure", "never"]),
        "success": ENDINGS,
        "final": ENDINGS,
        "give_up_restarts": st.integers(0, 1000),
        "give_up_within": seconds(1),
        "give_up_then": st.sampled_from(["failed", "slowly"]),
        "give_up_every": seconds(1),
        "stop": stops(),
        "reload": SIGNALS,
        "log_size": st.integers(4096, LARGEST) | st.sampled_from([2**20, 5 * 2**30, 2**40]),
        "log_keep": st.integers(1, 1000),
        "log_compress": st.booleans(),
        "log_timestamps": st.booleans(),
        "log_separate_stderr": st.booleans(),
        "limits": limits(),
        "nice": st.integers(-20, 19),
        "oom_score": st.integers(-1000, 1000),
        "affinity": st.sets(st.integers(0, 100), min_size=1, max_size=8).map(lambda found: tuple(sorted(found))),
        "capabilities": st.lists(st.sampled_from(CAPABILITIES), unique=True, max_size=3).map(tuple),
        "no_new_privileges": st.booleans(),
        "start": st.booleans(),
    }
    wanted = draw(st.fixed_dictionaries({}, optional=values))
    for lower, upper, lowest, least in (
        ("backoff_first", "backoff_longest", 0.01, 1.0),
        ("healthy_after", "forgiven_after", 0.5, 0.5),
    ):
        if draw(st.booleans()):
            wanted[lower] = draw(seconds(lowest))
            wanted[upper] = draw(seconds(max(least, wanted[lower])))
    return Definition(command=(draw(PATHS), *draw(st.lists(TEXT, max_size=3))), **wanted)
