"""The names of daemons, and the patterns that mean some of them."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.errors import BadOption
from numen.settings.names import LONGEST_NAME, check_kept_name, check_name, comma_separated, matching


@pytest.mark.parametrize("name", ["web", "web-1", "web@eu:8000", "a.b_c", "ö", "7", "x" * LONGEST_NAME, "numen"])
def test_a_name_has_letters_digits_and_a_few_signs(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "-x", "a/b", "a b", "a\n", "a*", "x" * (LONGEST_NAME + 1)])
def test_what_could_not_be_the_name_of_a_file_or_looks_like_an_option_is_no_name(name: str) -> None:
    with pytest.raises(BadOption, match="is no name"):
        check_name(name)


def test_no_daemon_that_is_kept_has_the_supervisor_s_own_name() -> None:
    check_kept_name("numen-web")
    with pytest.raises(BadOption, match="the supervisor's own"):
        check_kept_name("numen")


NAMES = ["api", "web-1", "web-2", "web-10", "Web-3"]


@pytest.mark.parametrize(
    ("patterns", "found", "unmatched"),
    [
        (["web-1"], ["web-1"], []),
        (["web-*"], ["web-1", "web-10", "web-2"], []),
        (["web-?", "api"], ["web-1", "web-2", "api"], []),
        (["web-2", "web-*"], ["web-2", "web-1", "web-10"], []),
        (["[wW]eb-[23]"], ["Web-3", "web-2"], []),
        (["*"], ["Web-3", "api", "web-1", "web-10", "web-2"], []),
        (["ap", "db-*", "api"], ["api"], ["ap", "db-*"]),
        ([], [], []),
    ],
)
def test_a_pattern_means_the_names_that_a_shell_would_find(
    patterns: list[str], found: list[str], unmatched: list[str]
) -> None:
    assert matching(patterns, NAMES) == (found, unmatched)


INSTANCES = ["worker@10", "worker@2", "worker@1", "worker@x", "worker@01", "web", "web@1"]


def test_a_name_without_a_number_means_all_instances_in_the_order_of_their_numbers() -> None:
    assert matching(["worker"], INSTANCES) == (["worker@1", "worker@2", "worker@10"], [])
    assert matching(["web", "worker@2"], INSTANCES) == (["web", "worker@2"], []), "one has just that name"
    assert matching(["worker@", "w"], INSTANCES) == ([], ["worker@", "w"])


def test_what_is_a_name_means_that_one_alone() -> None:
    assert matching(["a[b]"], ["a[b]", "ab"]) == (["a[b]"], [])


@given(st.lists(st.text("ab*?[]!-", max_size=5)), st.lists(st.text("ab-[]", min_size=1, max_size=4)))
def test_each_name_is_found_once_and_each_pattern_finds_some_or_is_told(patterns: list[str], names: list[str]) -> None:
    found, unmatched = matching(patterns, names)

    assert len(found) == len(set(found))
    assert set(found) <= set(names)
    assert all(any(name == one or fnmatchcase(name, one) for one in patterns) for name in found)
    assert not any(fnmatchcase(name, one) for one in unmatched for name in names)
    assert not set(unmatched) & set(names)


def test_words_stand_between_commas() -> None:
    assert comma_separated(" a, b,,c ") == ["a", "b", "c"]
    assert comma_separated("") == []
