"""The request target, made canonical once: the bytes that are decided on are the bytes that are forwarded.

A form that two servers could read differently is refused with 400, never repaired: dot segments in any spelling,
empty segments, encoded slashes and backslashes, path parameters, encoded percent signs that hide a second encoding,
NUL and other controls, and bytes that are not UTF-8. Two spellings that RFC 3986 s6.2.2 calls equal are made one: hex
digits are upper-cased and an encoded unreserved character is decoded (except the dot: its encoding has no honest use).

A trailing slash is kept and means another path, as in RFC 3986.
"""

import re
from urllib.parse import unquote_to_bytes

import msgspec

from gateway.errors import BadRequest
from gateway.wire.grammar import HEX, TARGET_BYTES, UNRESERVED, only

# Segments of unreserved characters that do not begin with a dot: nearly every path there is. No escape to look at.
_PLAIN = re.compile(rb"/(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*+(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*+)*+/?)?")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_DELETE = 0x7F
_SPACE = 0x20


class NormalPath(msgspec.Struct, frozen=True, gc=False):
    """A path in its one canonical form.

    Attributes:
        raw: What is forwarded, beginning with `/`.
        query: What follows the question mark, forwarded as it came; None without one.
        segments: The decoded text between slashes; a trailing slash gives an empty last one; `/` gives none.
    """

    raw: bytes
    query: bytes | None
    segments: tuple[str, ...]

    @property
    def target(self) -> bytes:
        """The origin-form target for the upstream: path and query."""
        return self.raw if self.query is None else self.raw + b"?" + self.query


def normal_path(target: bytes) -> NormalPath:
    """Make an origin-form target canonical.

    Args:
        target: `/path` or `/path?query`, as it stood in the request line.

    Raises:
        BadRequest: The form is ambiguous or not a path; the reason says which rule it broke.
    """
    path, mark, query = target.partition(b"?")
    if not only(target, TARGET_BYTES):
        raise BadRequest("target: character not allowed")
    if mark:
        _check_query(query)
    if not _PLAIN.fullmatch(path):
        path = _canonical(path)
        segments = tuple(_decoded(segment) for segment in path.split(b"/")[1:])
    else:
        segments = tuple(path.decode("ascii").split("/")[1:])
    return NormalPath(path, query if mark else None, segments if path != b"/" else ())


def _canonical(path: bytes) -> bytes:
    """The canonical spelling of a path that needs a closer look."""
    if not path.startswith(b"/"):
        raise BadRequest("target: not a path")
    if b"//" in path:
        raise BadRequest("target: empty segment")
    if b";" in path:
        raise BadRequest("target: path parameter")
    if b"[" in path or b"]" in path:
        raise BadRequest("target: character not allowed")
    if b"%" in path:
        if path.count(b"%") != len(_ESCAPE.findall(path)):
            raise BadRequest("target: broken escape")
        path = _ESCAPE.sub(_one_escape, path)
        if re.search(rb"%25[0-9A-Fa-f]{2}", path):
            raise BadRequest("target: double encoding")
    for segment in path.split(b"/"):
        if segment in {b".", b".."}:
            raise BadRequest("target: dot segment")
    return path


def _one_escape(match: re.Match[bytes]) -> bytes:
    """What one escape becomes; refuses those that hide structure."""
    value = int(match[1], 16)
    if value in b"/\\":
        raise BadRequest("target: encoded slash")
    if value == ord("."):
        raise BadRequest("target: encoded dot")
    if value < _SPACE or value == _DELETE:
        raise BadRequest("target: encoded control character")
    if value in UNRESERVED:
        return bytes((value,))
    return match[0].upper()


def _decoded(segment: bytes) -> str:
    """A segment's text; strict UTF-8, so that overlong forms and surrogates are refused."""
    try:
        text = unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("target: not UTF-8") from None
    if not text.isprintable():  # a space is printable, other white space and invisible characters are not
        raise BadRequest("target: encoded control character")
    return text


def _check_query(query: bytes) -> None:
    """Refuse a query whose escapes are broken; otherwise it is data and passes as it came."""
    at = query.find(b"%")
    while at >= 0:
        pair = query[at + 1 : at + 3]
        if len(pair) != 2 or not only(pair, HEX):  # noqa: PLR2004 - an escape is two hex digits
            raise BadRequest("target: broken escape")
        at = query.find(b"%", at + 3)
