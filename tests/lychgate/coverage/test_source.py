"""What a stranger's tree may hold."""

import os
from pathlib import Path

import pytest

from lychgate.coverage.model import State, tally
from lychgate.coverage.source import LIMIT_BYTES, Module, Unreadable, files, read
from tests.builders.scanned import FASTAPI, scanned, write


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"def f(:\n", "not Python"),
        (b"x = '\x00'\n", "not Python"),
        (b"x = '\xff\xfe'\n", "not Python"),
        (b"# coding: nonsense\nx = 1\n", "not Python"),
        (b"x = " + b"(" * 5000 + b")" * 5000, "not Python"),
        (b"x = " + b"-" * 100_000 + b"1\n", "deep"),
        (b"if x:\n\tpass\n        pass\n", "not Python"),
        (b"#" * (LIMIT_BYTES + 1), "larger"),
    ],
    ids=["syntax", "null", "bytes", "encoding", "brackets", "minus", "tabs", "size"],
)
def test_what_is_not_python_is_said_and_counts(tmp_path: Path, raw: bytes, reason: str) -> None:
    """No traceback, a finding with its file, and one uncovered handler in the ratio: who knows what is in it."""
    write(tmp_path, shop=FASTAPI)
    (tmp_path / "bad.py").write_bytes(raw)
    (service,) = scanned(tmp_path).services
    (finding, *_) = service.findings
    assert (finding.place.file, finding.code) == ("bad.py", "unreadable")
    assert reason in finding.reason
    assert tally(service).ratio == 0.0


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe named like a module would keep a reader for ever; a folder of that name holds none."""
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    found = [read(file, file.stem, file.name) for file in files([tmp_path]) if isinstance(file, Path)]
    assert [type(it) for it in found] == [Unreadable, Unreadable]


def test_links_are_not_followed_round(tmp_path: Path) -> None:
    """A link to a folder is a finding, for there may be code in it; a link to a file is the file, once."""
    write(tmp_path, shop=FASTAPI)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "again.py").symlink_to(tmp_path / "shop.py")
    found = list(files([tmp_path]))
    assert [it.file for it in found if isinstance(it, Unreadable)] == [str(tmp_path / "loop")]
    assert len([it for it in found if isinstance(it, Path)]) == 1


def test_what_is_no_part_of_the_service_is_left_out(tmp_path: Path) -> None:
    """Tests, migrations, virtual environments and what is excluded by a pattern; a file that is named is taken."""
    names = ("a", "test_a", "tests__b", "migrations__c", "_venv__d", "x__skip__e", "x__f")
    write(tmp_path, **dict.fromkeys(names, "x = 1\n"))
    (tmp_path / "_venv").rename(tmp_path / ".venv")
    found = {it.name for it in files([tmp_path], ["x/skip/*"]) if isinstance(it, Path)}
    assert found == {"a.py", "f.py"}
    assert [it.name for it in files([tmp_path / "test_a.py"]) if isinstance(it, Path)] == ["test_a.py"]


def test_only_a_comment_excuses(tmp_path: Path) -> None:
    """The same words in a string are no comment."""
    write(tmp_path, a="x = '# audit:ignore no'\ny = 1  # audit:ignore: because\nz = 1  # audit: ignore\n")
    found = read(tmp_path / "a.py", "a", "a.py")
    assert isinstance(found, Module)
    assert {line: said.reason for line, said in found.ignores.items()} == {2: "because", 3: ""}


def test_a_handler_too_deep_to_follow_is_unknown(tmp_path: Path) -> None:
    """Code that a parser takes and a walk does not: counted as uncovered, without a traceback."""
    deep = "".join("    " * (n + 1) + "if x:\n" for n in range(90)) + "    " * 91 + "x" + ".a()" * 900 + "\n"
    code = FASTAPI + '@app.post("/x")\ndef f(x):\n' + deep + '@app.post("/y")\ndef g():\n    return 1\n'
    report = scanned(tmp_path, shop=code)
    assert report.total.ratio == 0.0
    assert report.total.unknown + report.total.uncovered >= 1
    assert not any(it.state is State.COVERED for it in report.handlers)
