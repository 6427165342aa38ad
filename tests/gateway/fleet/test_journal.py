"""What was answered is on disk, what is on disk is read or named, and nothing is lost without a word."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.fleet.errors import JournalBroken, NotKept
from gateway.fleet.journal import Journal
from gateway.revocations import Revocation

MIA = Revocation(kind="user", issuer="dev", tenant_id="acme", sub="mia", issued_before=5.0, made_by="dev/platform/root")
ACME = Revocation(kind="tenant", tenant_id="acme", issued_before=7.0)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """An empty one, in a folder that was not there."""
    found = Journal(tmp_path / "deep" / "folder", "one")
    yield found
    found.close()


def _file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "folder" / "one.revocations"


def _again(tmp_path: Path) -> dict[str, Revocation]:
    """What the next start reads."""
    found = Journal(tmp_path / "deep" / "folder", "one")
    try:
        return found.read()
    finally:
        found.close()


def test_the_last_state_of_each_is_read_again(journal: Journal, tmp_path: Path) -> None:
    """In any number of writes; the file is its owner's alone."""
    assert journal.read() == {}
    lifted = msgspec.structs.replace(MIA, version=2, lifted=True)
    journal.append([MIA, ACME])
    journal.append([lifted])
    journal.close()
    assert _again(tmp_path) == {MIA.id: lifted, ACME.id: ACME}
    assert _file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert _file(tmp_path).parent.stat().st_mode & 0o777 == 0o700
    journal.__init__(tmp_path / "deep" / "folder", "one")  # type: ignore[misc]  # for the fixture to close


def test_one_gateway_at_a_time(journal: Journal, tmp_path: Path) -> None:
    """A second one of the same name is refused, one of another name is not."""
    with pytest.raises(JournalBroken, match=r"one\.revocations: held by another gateway; each needs its own node$"):
        Journal(tmp_path / "deep" / "folder", "one")
    Journal(tmp_path / "deep" / "folder", "two").close()


@pytest.mark.parametrize("left", [1, 20, 60])
def test_a_write_that_was_not_finished_is_cut_off(journal: Journal, tmp_path: Path, left: int) -> None:
    """Nobody was told of it; what came before it holds, and what comes after it can be read."""
    journal.append([MIA])
    whole = _file(tmp_path).read_bytes()
    journal.append([ACME])
    os.truncate(_file(tmp_path), len(whole) + left)
    assert journal.read() == {MIA.id: MIA}
    journal.append([ACME])
    assert journal.read() == {MIA.id: MIA, ACME.id: ACME}


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda line: line.replace(b"mia", b"tom"), "not as it was written"),
        (lambda line: b"\n" + line, "not as it was written"),
        (lambda line: line[9:], "not as it was written"),
        (lambda _: b"7fd5a0c6 {}\n", "not as it was written"),
    ],
)
def test_damage_refuses_the_start_with_its_line(journal: Journal, tmp_path: Path, damage: object, why: str) -> None:
    """An entry that cannot be read may be the one that matters."""
    journal.append([MIA])
    line = _file(tmp_path).read_bytes()
    journal.append([ACME])
    rest = _file(tmp_path).read_bytes()[len(line) :]
    _file(tmp_path).write_bytes(damage(line) + rest)  # type: ignore[operator]
    with pytest.raises(JournalBroken, match=rf"one\.revocations:1: {why}$"):
        journal.read()


def test_what_names_nothing_is_damage_too(journal: Journal) -> None:
    """Written whole by somebody who should not have."""
    journal.append([ACME, msgspec.structs.replace(MIA, sub="")])
    with pytest.raises(JournalBroken, match=r"one\.revocations:2: names nothing that can be revoked$"):
        journal.read()


def test_a_full_disk_leaves_the_file_as_it_was(journal: Journal, tmp_path: Path) -> None:
    """The write that does not fit is taken back whole, and said."""
    journal.append([MIA])
    before = _file(tmp_path).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (len(before) + 40, limits[1])
    )  # EFBIG, as ENOSPC in the middle of a write
    try:
        with pytest.raises(NotKept, match=r"^revocations: cannot be kept: File too large$"):
            journal.append([ACME])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert _file(tmp_path).read_bytes() == before
    journal.append([ACME])
    assert journal.read() == {MIA.id: MIA, ACME.id: ACME}


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """Is named with the reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalBroken, match=r"file/deep/one\.revocations: cannot be opened: Not a directory$"):
        Journal(tmp_path / "file" / "deep", "one")


def test_it_is_written_anew_where_most_of_it_is_no_more(journal: Journal, tmp_path: Path) -> None:
    """And goes on from there."""
    journal.append([msgspec.structs.replace(MIA, version=version) for version in range(1, 1_100)])
    assert journal.is_long(1)
    assert not journal.is_long(100)
    journal.rewrite([MIA])
    assert not journal.is_long(1)
    journal.append([ACME])
    assert _file(tmp_path).read_bytes().count(b"\n") == 2
    assert journal.read() == {MIA.id: MIA, ACME.id: ACME}
