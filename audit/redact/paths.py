"""Field paths as people write them -> tuples of parts. Pure.

`details.items.*.email`, `details.items[*].email` and `details.items[].email` are one path; `*` is any key and any
element, a number one element. A key with a dot in it stands in brackets: `details["billing.email"]`. A change is
addressed by its own pointer: `changes.email` is the old and new value of the change whose `path` is `/email`.
"""

import re
from collections.abc import Iterable
from typing import TypeAlias

Paths: TypeAlias = tuple[tuple[str, ...], ...]

_PART = re.compile(
    r"""(?:^|\.)(?P<name>[^.\[\]]+)      # .email
      | \[(?P<index>\*?|[0-9]+)\]        # [*], [], [0]
      | \[(?P<quote>["'])(?P<quoted>.+?)(?P=quote)\]   # ["a.b"]
    """,
    re.VERBOSE,
)


def parse_paths(paths: Iterable[str]) -> Paths:
    """Field paths as tuples, each once, in the order given.

    Raises:
        ValueError: one is no path; the message names it and says what is wrong.
    """
    return tuple(dict.fromkeys(parse_path(path) for path in paths))


def parse_path(path: str) -> tuple[str, ...]:
    """One field path as a tuple.

    Raises:
        ValueError: it is no path; the message names it and says what is wrong.
    """
    if path.startswith(("$", "/")):
        raise ValueError(f"field path `{path}` begins at the event's root without a sign: `details.email`")
    if path.startswith("changes["):
        raise ValueError(f"field path `{path}`: a change is addressed by its own path: `changes.email`, `changes.*`")
    parts: list[str] = []
    at = 0
    while at < len(path) or not parts:
        found = _PART.match(path, at) if at or not path.startswith(".") else None
        if found is None:
            empty = path[at : at + 1] in {"", "."}
            raise ValueError(
                f"field path `{path}` has an empty part"
                if empty
                else f"field path `{path}` cannot be read from `{path[at:]}` on"
            )
        name = found["name"]
        if name is not None and "*" in name and name != "*":
            raise ValueError(f"field path `{path}`: `*` stands for a whole part; names at any depth are `key_names`")
        if name is not None and name != name.strip():
            raise ValueError(f"field path `{path}` has a space around a part")
        parts.append(name or found["quoted"] or found["index"] or "*")
        at = found.end()
    return tuple(parts)
