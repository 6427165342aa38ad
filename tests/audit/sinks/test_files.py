"""Tests of `audit.sinks.files`: lines whole or not at all, on a real disk, whatever others do to the files."""

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.errors import SpoolBusy
from audit.sinks.files import LineFiles, LinesRules, line_digest
from tests.servers.kafka.server import unavailable

LINES = [f'{{"n":{n}}}\n'.encode() for n in range(40)]


class Clock:
    """A clock that is set."""

    ns = 1_790_000_000_000_000_000

    def __call__(self) -> int:
        """Now."""
        return self.ns


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where files are written; not there yet."""
    return tmp_path / "deep" / "out"


@pytest.fixture
def made(folder: Path) -> Iterator[list[LineFiles]]:
    """Whatever a test opens is closed."""
    opened: list[LineFiles] = []
    yield opened
    for files in opened:
        files.close()


def whole(folder: Path) -> bytes:
    """Everything that was written, in order."""
    parts = sorted(folder.glob("audit-*"))
    return b"".join(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in parts)


def test_lines_stand_in_a_private_file(folder: Path, made: list[LineFiles]) -> None:
    """Folder 0700, file 0600, lines in order; a second opening goes on in the same file."""
    made += [LineFiles(folder, "audit", LinesRules())]
    made[0].append(LINES[:2])
    made[0].append(LINES[2:3])
    assert whole(folder) == b"".join(LINES[:3])
    assert (folder.stat().st_mode & 0o777, made[0].path.stat().st_mode & 0o777) == (0o700, 0o600)
    made[0].close()
    made += [LineFiles(folder, "audit", LinesRules())]
    made[1].append(LINES[3:4])
    assert made[1].path == made[0].path
    assert whole(folder) == b"".join(LINES[:4])


def test_a_folder_has_one_writer(folder: Path, made: list[LineFiles]) -> None:
    """Another process's torn line is not ours to cut."""
    made += [LineFiles(folder, "audit", LinesRules()), LineFiles(folder, "audit", LinesRules())]
    made[0].append(LINES[:1])
    with pytest.raises(SpoolBusy, match="another process"):
        made[1].append(LINES[1:2])
    made[0].close()
    made[1].append(LINES[1:2])
    assert whole(folder) == b"".join(LINES[:2])


def test_a_file_is_closed_by_size_and_by_age_and_so_many_are_kept(folder: Path, made: list[LineFiles]) -> None:
    """Names rise with time even where the clock steps back."""
    clock = Clock()
    made += [LineFiles(folder, "audit", LinesRules(rotate_bytes=10, rotate_s=60, keep_files=3), now_ns=clock)]
    first = LineFiles(folder, "audit", LinesRules(), now_ns=clock)
    for at, line in enumerate(LINES[:3]):
        clock.ns -= at * 10**9
        made[0].append([line])
        made[0].append([line])
    assert len(made[0].files()) == 3
    assert made[0].files()[-1] == made[0].path
    assert whole(folder) == b"".join(line * 2 for line in LINES[:3])
    made[0].append(LINES[3:5])
    made[0].append(LINES[5:6])
    assert len(first.files()) == 3, "the oldest went"
    assert LINES[0] not in whole(folder)
    made[0].append(LINES[6:7])
    clock.ns += 61 * 10**9
    before = made[0].path
    made[0].append(LINES[7:8])
    assert made[0].path != before, "of age"


def test_closed_files_are_packed(folder: Path, made: list[LineFiles]) -> None:
    """Nothing is changed by it, and what a crash left of it is put in order."""
    made += [LineFiles(folder, "audit", LinesRules(rotate_bytes=30, compress=True))]
    for line in LINES[:12]:
        made[0].append([line])
    packed = sorted(folder.glob("*.gz"))
    assert len(packed) >= 2
    assert {path.stat().st_mode & 0o777 for path in packed} == {0o600}
    assert len(list(folder.glob("*.ndjson"))) == 1
    assert whole(folder) == b"".join(LINES[:12])
    made[0].close()
    packed[0].with_suffix("").write_bytes(LINES[0])  # died between the packed one and the removal of the plain one
    (folder / "audit-20260101T000000.000000Z.ndjson.gz.tmp").write_bytes(b"half")
    made += [LineFiles(folder, "audit", LinesRules(rotate_bytes=30, compress=True))]
    made[1].append(LINES[12:13])
    assert whole(folder) == b"".join(LINES[:13])
    assert list(folder.glob("*.tmp")) == []


@pytest.mark.parametrize("torn", [b'{"n":1', b"x" * 200_000, b""])
def test_what_a_crash_left_half_is_cut_off(folder: Path, made: list[LineFiles], torn: bytes) -> None:
    """Up to the last whole line, however far back that is."""
    made += [LineFiles(folder, "audit", LinesRules())]
    made[0].append(LINES[:2])
    made[0].close()
    with made[0].path.open("ab") as file:
        file.write(torn)
    made += [LineFiles(folder, "audit", LinesRules())]
    made[1].append(LINES[2:3])
    assert whole(folder) == b"".join(LINES[:3])


def test_a_file_that_is_nothing_but_half_a_line_is_emptied(folder: Path, made: list[LineFiles]) -> None:
    """The first line of a file, torn."""
    made += [LineFiles(folder, "audit", LinesRules())]
    made[0].open()
    made[0].close()
    made[0].path.write_bytes(b'{"n"')
    made += [LineFiles(folder, "audit", LinesRules())]
    made[1].append(LINES[:1])
    assert whole(folder) == LINES[0]


@pytest.mark.parametrize("done", ["removed", "renamed", "replaced", "cut"])
def test_it_is_noticed_when_the_file_is_taken_away(folder: Path, made: list[LineFiles], done: str) -> None:
    """Told once; lines go to a file that is there, at its end."""
    gone: list[Path] = []
    made += [LineFiles(folder, "audit", LinesRules(), on_gone=gone.append)]
    made[0].append(LINES[:2])
    path = made[0].path
    if done in ("removed", "replaced"):
        path.unlink()
    if done == "renamed":
        path.rename(folder / "shipped")
    if done == "replaced":
        path.write_bytes(b"theirs\n")
    if done == "cut":
        os.truncate(path, 0)
    made[0].append(LINES[2:3])
    made[0].append(LINES[3:4])
    assert gone == [path]
    assert made[0].path.read_bytes() == b"".join(LINES[2:4])
    assert (made[0].path == path) is (done == "cut")


def test_a_full_disk_takes_none_and_goes_on_when_there_is_room(tmp_path: Path, made: list[LineFiles]) -> None:
    """On a tmpfs of 256 KiB: what did not fit is not there in part."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        unavailable("mounting a full disk needs root")
    try:
        made += [LineFiles(disk / "out", "audit", LinesRules())]
        made[0].append(LINES[:1])
        # What is free is looked at first; a disk that fills up in the middle is a write that fails.
        with pytest.raises(OSError, match="free"):
            made[0].append([b"y" * 300_000 + b"\n"])
        held = open_filled(disk, leave=40_000)
        with pytest.raises(OSError, match="free"):
            made[0].append([b"z" * 80_000 + b"\n"])
        held.unlink()
        made[0].append(LINES[1:2])
        assert whole(disk / "out") == b"".join(LINES[:2])
        made[0].close()
        made += [LineFiles(disk / "out", "audit", LinesRules(min_free_bytes=1 << 20))]
        with pytest.raises(OSError, match="free"):
            made[1].append(LINES[2:3])
        made[1].close()
    finally:
        subprocess.run(["umount", disk], check=True)


def open_filled(disk: Path, leave: int) -> Path:
    """A file that takes nearly all that is free."""
    free = os.statvfs(disk)
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * (free.f_bavail * free.f_frsize - leave))
    return ballast


def test_a_write_that_fails_leaves_nothing_of_it(
    folder: Path, made: list[LineFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes half of it and then no more, and a sync that fails: the file is cut and opened again."""
    made += [LineFiles(folder, "audit", LinesRules())]
    made[0].append(LINES[:1])
    pwrite, calls = os.pwrite, []

    def full(fd: int, data: bytes, at: int) -> int:
        calls.append(at)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return pwrite(fd, data[: len(data) // 2], at)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        made[0].append(LINES[1:9])
    monkeypatch.undo()
    assert whole(folder) == LINES[0]

    def broken(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(OSError, match="Input/output"):
        made[0].append(LINES[1:2])
    monkeypatch.undo()
    assert made[0].open(), "what was not synced is not trusted: it is opened again"
    made[0].append(LINES[1:2])
    assert whole(folder) == b"".join(LINES[:2])


_KILLED = """
import sys
from pathlib import Path
from audit.sinks.files import LineFiles, LinesRules
files = LineFiles(Path(sys.argv[1]), "audit", LinesRules(rotate_bytes=20_000, compress=True, keep_files=1000))
n = 0
while True:
    files.append([b'{"n":%d}\\n' % (n + at) for at in range(50)])
    n += 50
    print(n, flush=True)
"""


def test_a_killed_writer_leaves_whole_lines_and_all_that_were_synced(folder: Path, made: list[LineFiles]) -> None:
    """Killed in the middle of writing, rotating or packing, three times over."""
    for kill_after in (400, 3_000, 7_000):
        process = subprocess.Popen([sys.executable, "-c", _KILLED, folder], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        acked = 0
        for line in process.stdout:
            acked = int(line)
            if acked >= kill_after:
                break
        process.kill()
        rest = process.communicate()[0].split()
        acked = int(rest[-1]) if rest else acked
        files = LineFiles(folder, "audit", LinesRules())
        files.open()
        files.close()
        lines = whole(folder).splitlines(keepends=True)
        assert lines[:acked] == [b'{"n":%d}\n' % n for n in range(acked)]
        assert all(line.endswith(b"}\n") for line in lines)
        for path in folder.glob("audit-*"):
            path.unlink()


def test_the_last_lines_are_known_by_their_digests(folder: Path, made: list[LineFiles]) -> None:
    """Over several files, packed ones too, and no more than were asked for."""
    made += [LineFiles(folder, "audit", LinesRules(rotate_bytes=60, compress=True))]
    for line in LINES:
        made[0].append([line])
    assert made[0].tail(10) == {line_digest(line) for line in LINES[-10:]}
    assert made[0].tail(1000) == {line_digest(line) for line in LINES}
