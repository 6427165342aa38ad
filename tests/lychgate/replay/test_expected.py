"""Expectations as people write them."""

import re
from pathlib import Path

import pytest
import yaml

from gateway.shadow_settings import ShadowSettings
from lychgate.errors import ConfigurationError
from lychgate.replay.expected import read_expected
from policies.model import Effect
from policies.replay.tally import Expectation
from tests.builders.questions import ROOT

GOOD = """
expected:
  - {role: Support, action: order:list, resource: Order, from: allow, to: deny, why: "ticket 12"}
  - from: deny
    to: allow
"""


def test_a_list(tmp_path: Path) -> None:
    """What is not named is any."""
    (tmp_path / "e.yaml").write_text(GOOD)
    assert read_expected(tmp_path / "e.yaml") == [
        Expectation(
            role="Support", action="order:list", resource="Order", before=Effect.ALLOW, to=Effect.DENY, why="ticket 12"
        ),
        Expectation(before=Effect.DENY, to=Effect.ALLOW),
    ]
    (tmp_path / "e.yaml").write_text("")
    assert read_expected(tmp_path / "e.yaml") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("expected:\n  - {from: allow}\n", "e.yaml:2: object missing required field `to`"),
        ("expected:\n  - {from: allow, to: no}\n", "e.yaml:2: expected `str`, got `bool` - at `$.to`"),
        ("expected:\n  - {from: allow, to: nay}\n", "e.yaml:2: invalid enum value 'nay' - at `$.to`"),
        (
            "expected:\n  - {from: deny, to: allow}\n  - {from: deny, to: allow, rolle: x}\n",
            "e.yaml:3: object contains unknown field `rolle`",
        ),
        ("expected: 5\n", "e.yaml:1: `expected` is not a list"),
        ("expectd: []\n", "e.yaml:1: `expectd` is not `expected`"),
        ("- a\n", "e.yaml:1: the file is not a mapping of sections"),
        ("expected: [\n", "e.yaml:2:"),
    ],
)
def test_a_wrong_entry_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    """Each mistake with its place."""
    (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        read_expected(tmp_path / "e.yaml")
    assert message in str(refused.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Not there, not text."""
    with pytest.raises(ConfigurationError, match=r"gone: cannot be read: No such file"):
        read_expected(tmp_path / "gone")
    (tmp_path / "e.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"e.yaml: not UTF-8"):
        read_expected(tmp_path / "e.yaml")


def test_what_the_documentation_shows_is_taken(tmp_path: Path) -> None:
    """Its list of expectations, and its shadow section."""
    text = (ROOT / "docs/guides/replay-and-shadow.md").read_text(encoding="utf-8")
    expected, shadow = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "e.yaml").write_text(expected)
    assert [each.role for each in read_expected(tmp_path / "e.yaml")] == ["Cashier", "Support"]
    assert ShadowSettings(**yaml.safe_load(shadow)["shadow"]).sample == 0.1
