"""When the files that decide have changed, and have come to rest.

The kernel tells of changes (watchfiles), and besides the files are looked at now and then: a notification can be lost,
and a network filesystem sends none. Whether something has changed is always found by looking, so a notification too
many costs a look and nothing else. Shell; the gateway's supervisor and the query process wait here.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from watchfiles import awatch

from policies.errors import Finding, PolicyErrors
from policies.load import SCHEMA_FILE

_STEP_S: Final = 0.02
"""Between two looks while waiting for quiet."""
_GATHER_MS: Final = 50
_LINKS: Final = 40
"""Links followed on one path, as Linux does; a loop of links is a file that cannot be read."""
_READINGS: Final = 5

Seen: TypeAlias = tuple[tuple[str, int, int, int, int], ...]
"""Of each file its path, times of change of content and of inode (ns), size and inode number; sorted by path."""

_Read = TypeVar("_Read")


def look(paths: Iterable[Path]) -> Seen:
    """What is there now. Of a folder the policies and the schema in it; links are followed; what is not there is not.

    The time of change of the inode is looked at too: a copy that keeps the times of its original cannot hide.
    """
    found = []
    for path in paths:
        for file in _files(path):
            try:
                stat = os.stat(file)  # noqa: PTH116 - a path object for each of hundreds of files, fifty times a second
            except OSError:
                continue
            found.append((file, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino))
    return tuple(sorted(found))


def read_still(read: Callable[[], _Read], paths: Sequence[Path]) -> _Read:
    """Read files that nobody writes meanwhile, so that a set is never half of one version and half of another.

    Args:
        read: Reads them; what it raises is raised, if the files kept still for it.
        paths: What it reads.

    Raises:
        PolicyErrors: They change again and again.
    """
    for _ in range(_READINGS):
        before = look(paths)
        try:
            found = read()
        except Exception:
            if look(paths) == before:
                raise
            continue
        if look(paths) == before:
            return found
    raise PolicyErrors([Finding(str(paths[0]), 0, 0, "is written to while it is read")])


def folders(paths: Iterable[Path]) -> frozenset[str]:
    """The folders in which something can change what the paths lead to: their own, and those of links on the way."""
    found: set[str] = set()
    for path in paths:
        end = _walk(path, found)
        if end is not None and os.path.isdir(end):  # noqa: PTH112 - as `look`
            found.add(end)
            for file in _files(Path(end)):
                _walk(Path(file), found)
    return frozenset(folder for folder in found if os.path.isdir(folder))  # noqa: PTH112


async def looks(paths: Sequence[Path], *, settle_s: float, poll_s: float) -> AsyncIterator[Seen]:
    """Look again and again, until cancelled.

    Args:
        paths: Files, and folders of policies.
        settle_s: How long files must be left alone before they count.
        poll_s: How often they are looked at when nobody tells of a change.

    Yields:
        What is there, each time that something was told of or `poll_s` have passed; never while it changes.
    """
    while True:
        watched = await asyncio.to_thread(folders, paths)
        seen = await _rest(paths, settle_s)
        yield seen
        if await asyncio.to_thread(look, paths) != seen:
            continue  # while that was taken nobody was watching
        async with aclosing(_stirs(watched, poll_s)) as stirs:
            async for _ in stirs:
                if await asyncio.to_thread(look, paths) != seen:
                    seen = await _rest(paths, settle_s)
                yield seen
                if await asyncio.to_thread(folders, paths) != watched:
                    break  # a link leads elsewhere, or a folder is another one


async def _rest(paths: Sequence[Path], settle_s: float) -> Seen:
    """Wait until nothing has changed for a while; returns what is there then."""
    loop = asyncio.get_running_loop()
    seen, since = await asyncio.to_thread(look, paths), loop.time()
    while loop.time() < since + settle_s:
        await asyncio.sleep(min(_STEP_S, settle_s))
        now = await asyncio.to_thread(look, paths)
        if now != seen:
            seen, since = now, loop.time()
    return seen


async def _stirs(watched: frozenset[str], poll_s: float) -> AsyncGenerator[None, None]:
    """Each time that something happens in one of the folders, and each `poll_s`."""
    if not watched:
        await asyncio.sleep(poll_s)
        yield
        return
    told = awatch(
        *sorted(watched),
        watch_filter=None,
        recursive=False,
        debounce=_GATHER_MS,
        step=round(_STEP_S * 1000),
        rust_timeout=max(1, round(poll_s * 1000)),
        yield_on_timeout=True,
        force_polling=False,
        ignore_permission_denied=True,
    )
    try:
        async with aclosing(told), _begun(told) as first:
            yield  # what changed before it began nobody will tell of
            await first
            yield
            async for _ in told:
                yield
    except (OSError, RuntimeError):  # a folder went before it was watched, or the kernel has no more watches to give
        await asyncio.sleep(poll_s)
        yield


@asynccontextmanager
async def _begun(told: AsyncGenerator[object, None]) -> AsyncIterator[asyncio.Future[object]]:
    """Have a watch begin, which it does before it waits for the first time; gives what it will tell first."""
    first = asyncio.ensure_future(anext(told))
    try:
        await asyncio.sleep(0)
        yield first
    finally:
        first.cancel()
        await asyncio.wait({first})
        if not first.cancelled():
            first.exception()  # heard already, or of no use any more


def _files(path: Path) -> Iterable[str]:
    """The files of a path: itself, or what is read of a folder."""
    try:
        with os.scandir(path) as entries:
            return [entry.path for entry in entries if entry.name.endswith(".cedar") or entry.name == SCHEMA_FILE]
    except NotADirectoryError:
        return [str(path)]
    except OSError:
        return []


def _walk(path: Path, found: set[str]) -> str | None:
    """Follow a path link by link.

    Args:
        path: Where to.
        found: Gets the folder of each link on the way, and of the end.

    Returns:
        The end without links; None for a loop, or a link that goes.
    """
    todo = list(reversed(Path(os.path.abspath(path)).parts))  # noqa: PTH100 - `resolve` would hide the links
    here = todo.pop()
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            here = os.path.dirname(here)  # noqa: PTH120
            continue
        there = os.path.join(here, part)  # noqa: PTH118
        if not os.path.islink(there):  # noqa: PTH114
            here = there
            continue
        found.add(here)
        links += 1
        if links > _LINKS:
            return None
        try:
            target = Path(os.readlink(there))  # noqa: PTH115
        except OSError:  # it was replaced this moment; whoever did so is told of
            return None
        parts = list(reversed(target.parts))
        if target.is_absolute():
            here = parts.pop()
        todo.extend(parts)
    found.add(os.path.dirname(here))  # noqa: PTH120
    return here
