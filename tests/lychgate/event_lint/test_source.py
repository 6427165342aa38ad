"""`lychgate.event_lint.source`: whatever a file holds, it is a module or a finding."""

import os
from pathlib import Path
from typing import Any

import pytest

from audit.registry.load import packaged
from lychgate.event_lint.run import lint
from lychgate.event_lint.source import MAX_BYTES, read_sources


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"def f(:\n", "source-syntax"),
        (b"x = '\xff'\n", "unreadable-source"),
        (b"x = 1\0\n", "source-syntax"),
        (b"x = " + b"(" * 5000 + b")" * 5000, "source-syntax"),
        (b"x = " + b"-" * 100_000 + b"1", "source-syntax"),
        (b"x = 1" + b" + 1" * 20_000, None),
        (b"x = " + b"a." * 10_000 + b"b\n", None),
        (b"#" * (MAX_BYTES + 1), "unreadable-source"),
        (b"\xef\xbb\xbfx = 1\n", None),
        (b"", None),
        (b"x = '\\d'\n", None),
        ("x = 'é'\r\n".encode(), None),
        (b"if x:\n" + b"".join(b" " * at + b"if x:\n" for at in range(1, 99)) + b" " * 99 + b"pass\n", None),
    ],
    ids=range(13),
)
def test_a_hostile_file_is_a_finding_at_most(content: bytes, rule: str | None, tmp_path: Path) -> None:
    """No traceback, and nothing else is missed for it."""
    (tmp_path / "odd.py").write_bytes(content)
    (tmp_path / "plain.py").write_text('audit.emit("order.order.gone", tenant_id=t, actor=a, action="order:x")\n')
    findings = lint([tmp_path], packaged())
    odd = [each.code for each in findings if each.file.endswith("odd.py")]
    if rule is None:
        assert set(odd) <= {"source-syntax"}  # where this interpreter cannot read it, that is said
    else:
        assert odd == [rule]
    assert [each.code for each in findings if each.file.endswith("plain.py")] == ["unknown-event"]


def test_deep_expressions_in_an_emit_are_followed_so_far_and_no_further(tmp_path: Path) -> None:
    """Names for names, functions that call themselves, dictionaries in dictionaries: an answer, and soon."""
    text = "".join(f"a{at} = a{at + 1}\n" for at in range(200)) + "a200 = a0\n"
    text += "audit.emit(a0, tenant_id=t, actor=a, action='x')\n"
    emit = "audit.emit('order.order.updated', tenant_id=t, actor=a, action='order:update', details={})\n"
    text += "def f(x):\n    return f(x)\n" + emit.format("f(1)") + emit.format("{**" * 50 + "d" + "}" * 50)
    text += "def g(n):\n    audit.emit(n, tenant_id=t, actor=a, action='x')\n    g(n)\ndef h(n):\n    g(n)\n    h(n)\n"
    (tmp_path / "deep.py").write_text(text)
    rules = {each.code for each in lint([tmp_path], packaged())}
    assert {"event-untold", "details-untold"} <= rules


def test_folders_are_walked_and_those_of_tools_are_not(tmp_path: Path) -> None:
    """Each file once; a link that leads back to where it is ends nothing."""
    for name in ("a.py", "b/c.py", "b/.venv/d.py", "node_modules/e.py", "f.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    sources, findings = read_sources([tmp_path, tmp_path / "a.py", tmp_path / "gone.py"])
    assert [Path(each.file).name for each in sources] == ["a.py", "c.py"]
    assert [(each.code, each.reason) for each in findings] == [("unreadable-source", "no such file or folder")]


def test_a_module_has_the_name_it_is_imported_by(tmp_path: Path) -> None:
    """From the first folder above that is no package."""
    (tmp_path / "shop" / "till").mkdir(parents=True)
    for name in ("shop/__init__.py", "shop/till/__init__.py", "shop/till/emit.py", "alone.py"):
        (tmp_path / name).write_text("")
    names = [each.name for each in read_sources([tmp_path])[0]]
    assert names == ["alone", "shop", "shop.till", "shop.till.emit"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Whatever it is called."""
    os.mkfifo(tmp_path / "pipe.py")
    _, findings = read_sources([tmp_path])
    assert [(it.code, it.reason) for it in findings] == [("unreadable-source", "not a regular file")]


def test_a_folder_that_cannot_be_looked_into_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not one with nothing wrong in it."""
    (tmp_path / "shut").mkdir()
    (tmp_path / "open.py").write_text("x = 1\n")
    plain = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path)

    monkeypatch.setattr(os, "scandir", scandir)
    sources, findings = read_sources([tmp_path])
    assert len(sources) == 1
    assert [(Path(it.file).name, it.reason) for it in findings] == [("shut", "cannot be read: Permission denied")]
