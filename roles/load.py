"""`roles.toml` as text in, a checked `Catalogue` out; the whole file is refused on one error.

Called by the supervisor and the workers (through their snapshot), the query API and the command line. No IO.
"""

import re
import tomllib
from typing import Final

import msgspec

from roles.catalogue import Catalogue
from roles.errors import CatalogueError
from roles.model import Role

# Role names travel comma-separated in `X-User-Roles`, and as labels and Cedar ids.
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_HEADER: Final = re.compile(r"^[ \t]*\[\[[ \t]*role[ \t]*\]\]", re.MULTILINE)
_TOML_PLACE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")
_MSGSPEC_PLACE: Final = re.compile(r" - at `\$(?:\.role\[(\d+)\])?[^`]*`")


class _Entry(Role, frozen=True, gc=False, forbid_unknown_fields=True):
    """A `[[role]]` table: exactly the fields of `Role`."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `roles.toml`."""

    role: tuple[_Entry, ...]
    foreign: dict[str, str] = {}


def load_catalogue(text: str, name: str) -> Catalogue:
    """Read the role catalogue.

    Args:
        text: The TOML.
        name: The file's name, for messages.

    Returns:
        The catalogue, in the file's order.

    Raises:
        CatalogueError: Not TOML, a wrong key or type, or roles that contradict each other; file, line and reason.
    """
    entries = _parse(text, name)
    _check_roles(entries.role, text, name)
    _check_foreign(entries, text, name)
    return Catalogue(entries.role, entries.foreign)


def _parse(text: str, name: str) -> _File:
    try:
        return msgspec.convert(tomllib.loads(text), type=_File)
    except tomllib.TOMLDecodeError as exc:
        place = _TOML_PLACE.search(str(exc))
        end = text.count("\n") + 1
        line = int(place[1]) if place and place[1] else end
        raise CatalogueError(name, line, _lower(_TOML_PLACE.sub("", str(exc)))) from exc
    except msgspec.ValidationError as exc:
        place = _MSGSPEC_PLACE.search(str(exc))
        line = _role_line(text, int(place[1])) if place and place[1] else 0
        raise CatalogueError(name, line, _lower(_MSGSPEC_PLACE.sub("", str(exc)))) from exc


def _check_roles(roles: tuple[_Entry, ...], text: str, name: str) -> None:
    """Each role by itself and against those before it.

    INVARIANT: a role includes only roles before it. The order is from least to most, so this costs nothing, and it
    makes a cycle impossible.
    """
    before: dict[str, Role] = {}
    for index, role in enumerate(roles):
        if problem := _problem(role, before):
            raise CatalogueError(name, _role_line(text, index), problem)
        before[role.name] = role
    anonymous = [role.name for role in roles if role.anonymous]
    if len(anonymous) != 1:
        raise CatalogueError(name, 0, f"exactly one role is `anonymous`, here {len(anonymous)}")


def _problem(role: Role, before: dict[str, Role]) -> str | None:
    if not _NAME.fullmatch(role.name):
        return f"`{role.name}` is not a role name ({_NAME.pattern})"
    if role.name in before:
        return f"`{role.name}` is there twice"
    if role.offered and (role.anonymous or role.machine or role.cross_tenant):
        return f"`{role.name}` cannot be offered as a missing role: it is anonymous, machine or cross_tenant"
    for included in role.includes:
        other = before.get(included)
        if other is None:
            return f"`{role.name}` includes `{included}`, which is not a role before it"
        if other.anonymous or other.machine or other.cross_tenant:
            return f"`{role.name}` includes `{included}`, which is anonymous, machine or cross_tenant"
    return None


def _check_foreign(entries: _File, text: str, name: str) -> None:
    roles = {role.name: role for role in entries.role}
    for foreign, ours in entries.foreign.items():
        role = roles.get(ours)
        if foreign in roles:
            problem = f"`{foreign}` is a role of ours and cannot be mapped"
        elif role is None:
            problem = f"`{foreign}` is mapped to `{ours}`, which is not a role"
        elif role.anonymous or role.cross_tenant:
            problem = f"`{foreign}` is mapped to `{ours}`, which is anonymous or cross_tenant"
        else:
            continue
        raise CatalogueError(name, _key_line(text, foreign), problem)


def _role_line(text: str, index: int) -> int:
    """The line of the index-th `[[role]]`."""
    headers = list(_HEADER.finditer(text))
    return text.count("\n", 0, headers[index].start()) + 1 if index < len(headers) else 0


def _key_line(text: str, key: str) -> int:
    """The line that starts with a key, bare or quoted."""
    found = re.search(rf"""^[ \t]*["']?{re.escape(key)}["']?\s*=""", text, re.MULTILINE)
    return text.count("\n", 0, found.end()) + 1 if found else 0


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
