"""The chunked decoder: the end of a body to the byte, and nothing that another decoder might read otherwise."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.chunked import ChunkedDecoder
from tests.builders.heads import in_pieces

GOOD = [
    (b"0\r\n\r\n", b""),
    (b"000\r\n\r\n", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"2\r\n\r\n\r\n1\r\n\n\r\n0\r\n\r\n", b"\r\n\n"),
    (b'5;a=b;c="d;e"\r\nhello\r\n0;last\r\n\r\n', b"hello"),
    (b"1;" + b"x" * 256 + b"\r\nh\r\n0\r\n\r\n", b"h"),
    (b"1\r\nh\r\n0\r\nX-Sum: 1\r\nx-sum: \xff\t2\r\n\r\n", b"h"),
    (b"0\r\nX: " + b"y" * (8 * 1024 - 3) + b"\r\n\r\n", b""),
]

BAD = [
    (b"\r\n", "no size"),
    (b";x\r\n", "no size before an extension"),
    (b"g\r\n", "not hex"),
    (b"0x5\r\n", "a prefix"),
    (b"+5\r\n", "a sign"),
    (b"-1\r\n", "a sign"),
    (b" 5\r\n", "white space before"),
    (b"5 \r\n", "white space after; llhttp refuses it too"),
    (b"5\t;a\r\n", "white space before the semicolon"),
    (b"1_0\r\n", "Python's digits"),
    (b"00000000000000005\r\n", "17 digits"),
    (b"5;\r\nhello", "a semicolon before nothing"),
    (b"5\nhello", "bare LF after a size"),
    (b"5;a\nhello", "bare LF in an extension; gunicorn 3364"),
    (b"5;a\rb\r\nhello", "bare CR in an extension"),
    (b"5\r;a\r\nhello", "bare CR before an extension"),
    (b"5\r\r\nhello", "two CR"),
    (b"5;\x00\r\nhello", "NUL in an extension"),
    (b"5;" + b"x" * 257 + b"\r\nhello", "an extension past its bound"),
    (b"5\r\nhello0\r\n\r\n", "no CRLF after the data"),
    (b"5\r\nhello\n0\r\n\r\n", "a bare LF after the data"),
    (b"5\r\nhello\r0\r\n\r\n", "a bare CR after the data"),
    (b"5\r\nhelloo\r\n0\r\n\r\n", "more data than the size says"),
    (b"0\r\n\n", "a bare LF for the end"),
    (b"0\r\nno colon\r\n\r\n", "a trailer that is no field"),
    (b"0\r\n: x\r\n\r\n", "a trailer without a name"),
    (b"0\r\nX : y\r\n\r\n", "white space before a trailer's colon"),
    (b"0\r\nX: y\r\n folded\r\n\r\n", "a folded trailer"),
    (b"0\r\nX: y\x00\r\n\r\n", "NUL in a trailer"),
    (b"0\r\nX: y\rz\r\n\r\n", "bare CR in a trailer"),
    (b"0\r\nX: " + b"y" * (8 * 1024 - 2) + b"\r\n\r\n", "trailers past their bound"),
    (b"0\r\n" + b"X: yyyyy\r\n" * 1025 + b"\r\n", "many trailers past their bound"),
]


def _feed(decoder: ChunkedDecoder, pieces: list[bytes]) -> None:
    for piece in pieces:
        decoder.feed(piece)


@pytest.mark.parametrize(("raw", "content"), GOOD)
def test_a_body_is_decoded_however_it_comes(raw: bytes, content: bytes) -> None:
    """Whole, byte by byte and cut at every offset; what follows is left alone."""
    for follows in (b"", b"GET / HTTP/1.1\r\n", b"\r\n0\r\n\r\n"):
        for pieces in in_pieces(raw + follows):
            if len(raw) > 1000 and len(pieces) == 2:
                continue  # quadratic, and the byte-by-byte feed has the same offsets
            decoder = ChunkedDecoder()
            got, left = b"", b""
            for piece in pieces:
                if decoder.done:
                    left += piece
                    continue
                out, rest = decoder.feed(piece)
                got += out
                left += rest
            assert (got, left, decoder.done) == (content, follows, True)


@pytest.mark.parametrize(("raw", "why"), BAD, ids=[why for _, why in BAD])
def test_a_broken_body_is_refused_however_it_comes(raw: bytes, why: str) -> None:
    """Whole, byte by byte and cut at every offset, the verdict is the same."""
    for pieces in in_pieces(raw):
        if len(raw) > 1000 and len(pieces) == 2:
            continue
        decoder = ChunkedDecoder()
        with pytest.raises(ValueError, match=r"chunk|trailer"):
            _feed(decoder, pieces)
        assert not decoder.done, why


@pytest.mark.parametrize("raw", [raw for raw, _ in GOOD])
def test_a_body_that_is_cut_short_is_not_done(raw: bytes) -> None:
    """No prefix of a body is a body."""
    for end in range(len(raw)):
        decoder = ChunkedDecoder()
        decoder.feed(raw[:end])
        assert not decoder.done


@pytest.mark.parametrize("start", [b"", b"5;", b"0\r\n", b"0\r\nX: "])
def test_a_line_that_never_ends_is_refused_before_it_fills_memory(start: bytes) -> None:
    """What can no longer become a line is not waited for."""
    decoder = ChunkedDecoder()
    decoder.feed(start)
    with pytest.raises(ValueError, match=r"too long|chunk"):
        _feed(decoder, [b"1"] * 10_000)


def test_a_size_past_memory_is_streamed() -> None:
    """A chunk of 2**64-1 bytes costs what has arrived of it; limits on content are another's."""
    decoder = ChunkedDecoder()
    assert decoder.feed(b"ffffffffffffffff\r\nabc") == (b"abc", b"")
    assert decoder.feed(b"def") == (b"def", b"")


_CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
_EXTENSIONS = st.sampled_from([b"", b";a", b';a="b"', b";" + b"z" * 256])
_TRAILERS = st.sampled_from([b"", b"A: b\r\n", b"A:\r\nB: \t c \r\n"])


@given(_CHUNKS, _EXTENSIONS, _TRAILERS, st.binary(max_size=12), st.lists(st.integers(1, 9), max_size=60), st.booleans())
def test_any_body_round_trips(
    chunks: list[bytes], extension: bytes, trailers: bytes, follows: bytes, cuts: list[int], upper: bool
) -> None:
    """Whatever is encoded is decoded, cut anyhow, and every byte after it is given back."""
    form = b"%X" if upper else b"%x"
    raw = b"".join(form % len(chunk) + extension + b"\r\n" + chunk + b"\r\n" for chunk in chunks)
    raw += b"0" + extension + b"\r\n" + trailers + b"\r\n" + follows
    decoder = ChunkedDecoder()
    got, at = b"", 0
    for size in [*cuts, len(raw)]:
        out, rest = decoder.feed(raw[at : at + size])
        got += out
        at += size
        if decoder.done:
            break
    assert got == b"".join(chunks)
    assert rest + raw[at:] == follows


@given(
    st.lists(st.sampled_from([b"0", b"1", b"f", b"\r\n", b"\n", b"\r", b";", b"x", b": ", b" ", b"\x00"]), max_size=24)
)
def test_the_verdict_does_not_depend_on_the_pieces(parts: list[bytes]) -> None:
    """Whole and byte by byte, any bytes give the same content, the same end and the same refusal."""
    raw = b"".join(parts)

    def run(pieces: list[bytes]) -> tuple[bytes | None, bytes, bool]:
        decoder = ChunkedDecoder()
        got, left = b"", b""
        with contextlib.suppress(ValueError):
            for piece in pieces:
                if decoder.done:
                    left += piece
                    continue
                out, rest = decoder.feed(piece)
                got += out
                left += rest
            return got, left, decoder.done
        return None, b"", False

    assert run([raw]) == run([raw[at : at + 1] for at in range(len(raw))])
