"""The characters HTTP allows where, each set under the line of the RFC that it encodes.

`bytes.translate` with a deletion table is the fastest membership test CPython has for a whole field: what is left
after deleting every allowed byte is what must not be there.
"""

from typing import Final

# RFC 9110 s5.6.2: token = 1*tchar
TCHAR: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

# RFC 9112 s5, RFC 9110 s5.5: field content is VCHAR, obs-text, SP and HTAB. A head block adds CR and LF, which are
# checked to come only in pairs. Everything else (NUL, other controls, DEL) is refused, not replaced by a space as
# s5.5 also allows: a value that two parsers may read differently is not passed on.
HEAD_BYTES: Final = b"\t\r\n" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))

# RFC 3986 s3.3, s3.4: what may stand in a request target. RFC 9112 s3.2 wants it refused, not repaired. `"<>\^`{|}`
# and bytes above 0x7F are not URI characters; clients must percent-encode them.
TARGET_BYTES: Final = b"!$%&'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~[]"

# RFC 3986 s2.3: these are the same with and without percent-encoding.
UNRESERVED: Final = b"-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

HEX: Final = b"0123456789abcdefABCDEF"
DIGITS: Final = b"0123456789"


def only(value: bytes, allowed: bytes) -> bool:
    """Whether every byte of `value` is in `allowed`. An empty value passes."""
    return not value.translate(None, allowed)


def is_token(value: bytes) -> bool:
    """Whether `value` is a token of RFC 9110 s5.6.2."""
    return bool(value) and not value.translate(None, TCHAR)
