"""Tables for people, at every width, and JSON for scripts, whatever is in it."""

import json

import pytest

from lychgate.commands.report import print_json, print_rows

MANY = [{f"column_{number}": f"value {row} {number}" for number in range(11)} for row in range(2)]


def test_a_pipe_has_no_edge(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is one line, however many columns there are: `grep` and `awk` read it."""
    monkeypatch.setenv("COLUMNS", "60")
    print_rows("rows", MANY, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "value 0 0" in line and "value 0 10" in line]) == 1


def test_a_narrow_screen_gets_a_line_for_each_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns of four letters nobody can read."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    print_rows("rows", MANY, as_json=False)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "column_3   value 1 3" in lines
    assert max(map(len, lines)) <= 60


def test_few_columns_are_folded(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A long text beside short ones stays a table, and nothing of it is lost."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    print_rows("rows", [{"name": "a", "what": "word " * 30}], as_json=False)
    assert capsys.readouterr().out.count("word") == 30


def test_nothing_is_said_to_be_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Not an empty table."""
    print_rows("findings", [], as_json=False)
    assert capsys.readouterr().out == "findings: nothing\n"
    print_rows("holds", [{"tenant": "acme", "until": None}], as_json=False)
    assert "None" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("case [a] 17", "case [a] 17"),
        ("case [/17]", "case [/17]"),
        (":warning:", ":warning:"),
        ("\x1b]0;mine\x07", r"\x1b]0;mine\x07"),
        ("Zoë 東", "Zoë 東"),
    ],
)
def test_a_cell_is_what_was_written(capsys: pytest.CaptureFixture[str], written: str, shown: str) -> None:
    """Brackets are no markup; what does not print is spelled out."""
    print_rows("rows", [{"cell": written}], as_json=False)
    assert shown in capsys.readouterr().out


def test_what_is_no_text_is_still_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Names that are not UTF-8 and halves of surrogate pairs come from other people's trees."""
    value = {"file": "n\udcff.py", "path": "\\\ud800", "name": "Zoë"}
    print_json(value)
    said = capsys.readouterr().out
    assert json.loads(said.encode("utf-8")) == value
    assert "Zoë" in said
