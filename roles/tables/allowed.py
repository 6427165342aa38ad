"""The list of mistakes that may go unnoticed in, each with why. Pure.

    - mutant: 'order.manager-discount: 0 <= context.percent became -1 <= context.percent'
      reason: order.discount-bounds denies a discount below nothing, whatever this policy says

Some mistakes change nothing: no case can tell them from the policy as it is. They are listed here once and explained,
so that the next one that survives stands out. An entry that no longer survives is a finding too: the list cannot rot.
"""

from collections.abc import Iterable, Mapping

from policies.errors import Finding
from policies.mutate import Mutant
from roles.errors import TableErrors
from roles.tables.document import Node, Refused, parse
from roles.tables.fields import Fields

_KEYS = ("mutant", "reason")


def read_allowed(file: str, text: str) -> dict[str, str]:
    """Read the list.

    Args:
        file: Its name.
        text: Its YAML.

    Returns:
        The names of mutants, each with its reason.

    Raises:
        TableErrors: The first thing that is wrong.
    """
    try:
        return _entries(file, parse(file, text))
    except Refused as exc:
        raise TableErrors([exc.finding]) from exc


def _entries(file: str, root: Node) -> dict[str, str]:
    if not isinstance(root.value, list):
        raise Refused(file, root, "a list of `mutant` and `reason` is expected")
    allowed: dict[str, str] = {}
    for node in root.value:
        name, reason = _entry(file, node)
        if name in allowed:
            raise Refused(file, node, f"`{name}` is listed twice")
        allowed[name] = reason
    return allowed


def _entry(file: str, node: Node) -> tuple[str, str]:
    fields = Fields(file, node, "an entry", _KEYS)
    return fields.text("mutant"), fields.text("reason")


def unexpected(survivors: Iterable[Mutant], allowed: Mapping[str, str]) -> list[Mutant]:
    """The survivors that the list does not explain."""
    return [mutant for mutant in survivors if mutant.name not in allowed]


def stale(survivors: Iterable[Mutant], allowed: Mapping[str, str], file: str) -> list[Finding]:
    """The entries that explain nothing any more."""
    names = {mutant.name for mutant in survivors}
    return [
        Finding(file, 0, 0, f"`{name}` is listed as allowed and does not survive")
        for name in allowed
        if name not in names
    ]
