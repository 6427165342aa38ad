"""A request for the whole of an answer, in plain: what is held back and looked through must be all there is. Pure."""

from typing import Final

import msgspec

from gateway.wire.head import Head

_PARTS: Final = frozenset(
    {
        b"accept-encoding",
        b"accept-charset",
        b"a-im",
        b"range",
        b"if-range",
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"want-digest",
        b"want-content-digest",
        b"want-repr-digest",
    }
)
"""What asks for a coding, a range, a difference (RFC 3229), a condition's outcome, or a digest of the original."""


def whole_and_plain(head: Head) -> Head:
    """The request without those, in any spelling, asking for `identity`."""
    kept = tuple((name, value) for name, value in head.headers if name.replace(b"_", b"-") not in _PARTS)
    return msgspec.structs.replace(head, headers=(*kept, (b"accept-encoding", b"identity")))
