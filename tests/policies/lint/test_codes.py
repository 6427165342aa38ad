"""The kinds of findings."""

import re

from policies.lint.codes import CODES, KINDS


def test_codes_are_words() -> None:
    """Lower case, with dashes: they stand in comments, options and other people's dashboards."""
    assert all(re.fullmatch(r"[a-z]+(?:-[a-z]+)*", code) for code in CODES)


def test_each_says_what_it_means_and_what_to_do() -> None:
    """In sentences."""
    assert all(kind.meaning.endswith(".") and kind.remedy.endswith(".") for kind in KINDS.values())
