"""Where each entry of `routes.toml` stands: TOML's reader forgets it. Pure."""

import re
from typing import Final

_ENTRY: Final = re.compile(r"""^[ \t]*\[\[[ \t]*(?:route|"route"|'route')[ \t]*\]\]""", re.MULTILINE)


def entry_lines(text: str, count: int) -> list[int]:
    """The lines of the entries.

    Args:
        text: The file.
        count: How many entries it has.

    Returns:
        From 1, in the order of the file; each 0 where the entries are written in another way than by `[[route]]`.
    """
    lines = [text.count("\n", 0, found.start()) + 1 for found in _ENTRY.finditer(text)]
    return lines if len(lines) == count else [0] * count
