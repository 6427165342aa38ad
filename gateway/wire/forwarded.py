"""What proxies in front of us say of the client: `X-Forwarded-For` and `Forwarded` (RFC 7239), read from the right.

The right end is what the nearest hop wrote, so it is the only part that can be believed because of who wrote it; what
stands left of it is believed only as far as the hops named on the way there are. So both readers are lazy: they give
one element after the other, from right to left, and nothing to the left of where the caller stops is parsed at all.
Pure. An element that is not an address to the letter ends the reading: nothing that a client made up gets through.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

Hop: TypeAlias = tuple[str, bytes]
"""A canonical address, and the scheme its element tells: `http`, `https`, or empty when it tells none."""

# RFC 7239 s4, s6: without backslashes in quoted text, which no address and no scheme needs.
_PAIR: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|\"([^\"\\]*)\")")
_V4: Final = re.compile(r"([0-9.]{7,15})(?::[0-9]{1,5})?")
_V6_BRACKETS: Final = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?")
_V6_BARE: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}")
SCHEMES: Final = frozenset({b"http", b"https"})


def canonical(text: str) -> str | None:
    """An address in its one text form; None for anything else.

    IPv4 within IPv6 becomes IPv4, so that one client has one name. A zone (`%eth0`) is refused: it may hold any text.
    """
    if "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def x_forwarded_for(values: Iterable[bytes]) -> Iterator[Hop]:
    """The addresses of every `X-Forwarded-For`, from right to left; several fields are one list (RFC 9110 s5.3)."""
    for value in reversed(list(values)):
        rest: bytes | None = value
        while rest is not None:
            left, comma, element = rest.rpartition(b",")
            address = _node(element.strip(b" \t"), quoted=False)
            if address is None:
                return
            yield address, b""
            rest = left if comma else None


def forwarded(values: Iterable[bytes]) -> Iterator[Hop]:
    """The `for` of every element of `Forwarded`, from right to left, with its `proto`."""
    for value in reversed(list(values)):
        rest: bytes | None = value
        while rest is not None:
            rest, element = _last_element(rest)
            hop = _element(element)
            if hop is None:
                return
            yield hop


def _last_element(value: bytes) -> tuple[bytes | None, bytes]:
    """What stands before the last comma outside of quotes, None without one; and what stands after it.

    Quotes are paired from the right: those of the last element are its own, whatever a client left open before it.
    """
    end, quotes = len(value), 0
    while (comma := value.rfind(b",", 0, end)) >= 0:
        quotes += value.count(b'"', comma, end)
        if quotes % 2 == 0:
            return value[:comma], value[comma + 1 :]
        end = comma
    return None, value


def _element(element: bytes) -> Hop | None:
    """One element's address and scheme."""
    found: dict[bytes, bytes] = {}
    for part in _pairs(element.strip(b" \t")):
        match = _PAIR.fullmatch(part)
        if match is None:
            return None
        name = match[1].lower()
        if name in found:  # RFC 7239 s4: not more than once
            return None
        found[name] = match[2] if match[2] is not None else match[3]
    address = _node(found.get(b"for", b""), quoted=True)
    scheme = found.get(b"proto", b"").lower()
    if address is None or (scheme and scheme not in SCHEMES):
        return None
    return address, scheme


def _pairs(element: bytes) -> list[bytes]:
    """An element at its semicolons outside of quotes."""
    parts: list[bytes] = []
    for piece in element.split(b";"):
        if parts and parts[-1].count(b'"') % 2:
            parts[-1] += b";" + piece
        else:
            parts.append(piece)
    return parts


def _node(raw: bytes, *, quoted: bool) -> str | None:
    """An address without its port. `unknown` and obfuscated names (RFC 7239 s6.2, s6.3) are nobody we could name."""
    text = raw.decode("latin-1")
    match = _V4.fullmatch(text) or _V6_BRACKETS.fullmatch(text)
    if match is not None:
        return canonical(match[1])
    # `X-Forwarded-For` has no grammar of its own; most write IPv6 without brackets.
    return canonical(text) if not quoted and _V6_BARE.fullmatch(text) else None
