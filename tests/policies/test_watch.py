"""Files that change: seen however they are replaced, told of when they rest, and never read in halves."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path

import pytest

from policies.errors import PolicyErrors
from policies.watch import Seen, folders, look, looks, read_still
from tests.builders.patience import PATIENCE_S

SETTLE_S = 0.1
FAR_S = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of policies, and beside it what is none."""
    found = tmp_path / "policies"
    found.mkdir()
    (found / "a.cedar").write_text("a")
    (found / "schema.cedarschema").write_text("s")
    (found / "notes.txt").write_text("n")
    return found


def names(seen: Seen) -> list[str]:
    """The names of the files that were seen."""
    return [Path(file[0]).name for file in seen]


def test_a_look_sees_policies_and_schema_and_every_change_of_them(folder: Path) -> None:
    """Content, replacement, removal; also a copy of the same length that keeps its times. Nothing else."""
    seen = [look([folder])]
    assert names(seen[0]) == ["a.cedar", "schema.cedarschema"]
    (folder / "notes.txt").write_text("changed")
    assert look([folder]) == seen[0]
    times = (folder / "a.cedar").stat()
    (folder / "a.cedar").write_text("b")
    os.utime(folder / "a.cedar", ns=(times.st_atime_ns, times.st_mtime_ns))
    seen.append(look([folder]))
    (folder / "draft").write_text("b")
    (folder / "draft").rename(folder / "a.cedar")
    seen.append(look([folder]))
    (folder / "schema.cedarschema").unlink()
    seen.append(look([folder]))
    assert names(seen[3]) == ["a.cedar"]
    assert len(set(seen)) == 4
    assert look([folder / "nowhere"]) == ()
    assert names(look([folder / "a.cedar"])) == ["a.cedar"]


def test_the_folders_in_which_something_can_change(folder: Path, tmp_path: Path) -> None:
    """Of a link the one it is in and the one it leads to, link by link; a loop and what is not there end in nothing."""
    assert folders([folder / "a.cedar"]) == {str(folder)}
    assert folders([folder]) == {str(tmp_path), str(folder)}
    mounted = kubernetes(tmp_path / "mounted", "one")
    assert folders([mounted]) == {str(tmp_path), str(mounted), str(mounted / "..one")}
    link = tmp_path / "link"
    link.symlink_to("policies")
    assert folders([link / ".." / "policies"]) == {str(tmp_path), str(folder)}
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert folders([loop]) == {str(tmp_path)}
    assert folders([tmp_path / "none" / "none"]) == frozenset()


def test_a_link_that_goes_while_it_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is no error: the folder it was in is watched, and tells of what comes in its place."""
    (tmp_path / "link").symlink_to("elsewhere")

    def gone(_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(os, "readlink", gone)
    assert folders([tmp_path / "link"]) == {str(tmp_path)}


def kubernetes(mounted: Path, version: str) -> Path:
    """What the kubelet makes of a ConfigMap: files are links into `..data`, which is a link that is replaced."""
    mounted.mkdir(exist_ok=True)
    data = mounted / f"..{version}"
    data.mkdir()
    for name in ("a.cedar", "schema.cedarschema"):
        (data / name).write_text(version)
        if not (mounted / name).is_symlink():
            (mounted / name).symlink_to(f"..data/{name}")
    (mounted / "..draft").symlink_to(data.name)
    (mounted / "..draft").replace(mounted / "..data")
    return mounted


@contextlib.asynccontextmanager
async def looking(*paths: Path, poll_s: float = FAR_S) -> AsyncIterator[asyncio.Queue[Seen]]:
    """Everything that is seen, from the first look on."""
    queue: asyncio.Queue[Seen] = asyncio.Queue()

    async def pump() -> None:
        async for seen in looks(paths, settle_s=SETTLE_S, poll_s=poll_s):
            queue.put_nowait(seen)

    task = asyncio.ensure_future(pump())
    try:
        yield queue
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(queue: asyncio.Queue[Seen], wanted: Seen) -> list[Seen]:
    """What is seen until it is this."""
    found = []
    async with asyncio.timeout(PATIENCE_S):
        while not found or found[-1] != wanted:
            found.append(await queue.get())
    return found


async def test_each_way_to_replace_a_file_is_told_of(folder: Path, tmp_path: Path) -> None:
    """Written in place, renamed over, removed, added, the whole folder swapped by a link, and the folder made anew."""
    link = tmp_path / "current"
    link.symlink_to(folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.cedar").write_text("b")
    async with looking(link) as queue:
        await until(queue, look([link]))
        (folder / "a.cedar").write_text("in place")
        await until(queue, look([link]))
        (tmp_path / "draft").write_text("renamed")
        (tmp_path / "draft").rename(folder / "a.cedar")
        await until(queue, look([link]))
        (folder / "a.cedar").unlink()
        await until(queue, look([link]))
        (folder / "c.cedar").write_text("c")
        await until(queue, look([link]))
        (tmp_path / "next").symlink_to(other)
        (tmp_path / "next").replace(link)
        await until(queue, look([link]))
        (other / "b.cedar").write_text("followed there")
        await until(queue, look([link]))
        other.rename(tmp_path / "gone")
        await until(queue, ())
        other.mkdir()
        (other / "d.cedar").write_text("d")
        assert names((await until(queue, look([link])))[-1]) == ["d.cedar"]


async def test_a_config_map_is_told_of(tmp_path: Path) -> None:
    """Again and again: each version is another folder."""
    mounted = kubernetes(tmp_path / "mounted", "one")
    async with looking(mounted) as queue:
        await until(queue, look([mounted]))
        for version in ("two", "three", "four"):
            kubernetes(mounted, version)
            await until(queue, look([mounted]))
        assert (mounted / "a.cedar").read_text() == "four"


@pytest.mark.parametrize("refusal", [OSError("no space left on device"), RuntimeError("too many open files")])
async def test_where_nobody_tells_it_is_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    """A network filesystem sends no notification; a kernel that has no more watches to give neither."""

    async def none_left(*_: object, **__: object) -> AsyncGenerator[None, None]:
        raise refusal
        yield

    monkeypatch.setattr("policies.watch.awatch", none_left)
    async with looking(folder, poll_s=0.1) as queue:
        await until(queue, look([folder]))
        (folder / "a.cedar").write_text("changed")
        await until(queue, look([folder]))


async def test_nothing_is_told_of_while_it_changes(folder: Path) -> None:
    """Many writes one after the other are one version: what is seen between first and last is never told of."""
    async with looking(folder) as queue:
        first = await until(queue, look([folder]))
        for number in range(20):
            (folder / "a.cedar").write_text("x" * number)
            await asyncio.sleep(SETTLE_S / 5)
        told = await until(queue, look([folder]))
        assert set(told) <= {first[-1], look([folder])}


async def test_what_changes_while_the_version_before_is_taken_is_told_of_at_once(folder: Path) -> None:
    """Nobody watches yet: taking the first version, or one behind a new link, may last."""
    async with contextlib.aclosing(looks([folder], settle_s=SETTLE_S, poll_s=FAR_S)) as versions:
        first = await anext(versions)
        (folder / "a.cedar").write_text("changed while the first was taken")
        async with asyncio.timeout(FAR_S / 2):
            assert await anext(versions) == look([folder]) != first


def test_what_changes_while_it_is_read_is_read_again(folder: Path) -> None:
    """Also where the reading failed of it; what changes for ever is refused."""
    readings: Iterator[int] = iter(range(100))

    def read() -> str:
        number = next(readings)
        if number == 0:
            (folder / "a.cedar").write_text("once")
        if number == 1:
            (folder / "a.cedar").write_text("twice as long")
            raise KeyError(number)
        return (folder / "a.cedar").read_text()

    assert read_still(read, [folder]) == "twice as long"

    def fails() -> str:
        raise KeyError("whole")

    with pytest.raises(KeyError, match="whole"):
        read_still(fails, [folder])

    def restless() -> None:
        (folder / "a.cedar").write_text("y" * next(readings))

    with pytest.raises(PolicyErrors, match=f"{folder}: is written to while it is read"):
        read_still(restless, [folder])
    assert threading.active_count() < 50
