"""Envoy's ext_authz over HTTP: the client's method and, behind a prefix, the client's target. Pure.

200 lets the request pass with the fields of the answer, less those that `x-envoy-auth-headers-to-remove` names; every
other status is what the client is told.
"""

from collections.abc import Iterable
from typing import Final

from gateway.doors.asked import Allowed, Asked, Denied, Fields
from gateway.doors.forward import Client, refusal_fields, without_question
from gateway.model import Peer
from gateway.serve.refusal import body

REMOVE: Final = b"x-envoy-auth-headers-to-remove"
_TOLD: Final = (b"x-envoy-",)
_TEXT: Final = frozenset({b"user-agent"})
"""Commas in it are its own; nothing is decided by it."""


def read(proxy: Peer, method: str, target: bytes, headers: tuple[tuple[bytes, bytes], ...], client: Client) -> Asked:
    """The client's request.

    Args:
        proxy: Who asks, and is believed.
        method: Of the question.
        target: Of the question, without the prefix.
        headers: Of the question.
        client: Reads `X-Forwarded-For`.
    """
    return Asked(
        client=client(proxy, headers),
        method=method.encode("latin-1"),
        target=target,
        headers=parted(without_question(headers, told=_TOLD)),
    )


def parted(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Fields that Envoy may have joined, each for itself.

    It makes one value of a field's several, with commas between them. Parted again, two of what must be one are seen to
    be two. A single value with a comma of its own is taken for several: on a route that decides on it, it is refused.
    """
    found: list[tuple[bytes, bytes]] = []
    for name, value in fields:
        if b"," in value and name not in _TEXT:
            found += [(name, part.strip(b" \t")) for part in value.split(b",")]
        else:
            found.append((name, value))
    return tuple(found)


def answer(told: Allowed | Denied) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, fields and body."""
    if isinstance(told, Allowed):
        fields = [*told.fields, (b"cache-control", b"no-store")]
        if told.remove:
            fields.append((REMOVE, b",".join(told.remove)))
        return 200, fields, b""
    return told.error.code.status, refusal_fields(told, all_fields=True), body(told.error, told.trace_id)
