"""How bodies end, and that a body reader takes exactly the body out of the stream."""

import pytest

from gateway.errors import BadRequest, Code, UpstreamError
from gateway.wire.framing import NO_BODY, BodyReader, Ending, Framing, request_framing, response_framing
from tests.builders.heads import in_pieces

CHUNKED = Framing(Ending.CHUNKED)


@pytest.mark.parametrize(
    ("lengths", "codings", "expected"),
    [
        ([], [], NO_BODY),
        ([b"0"], [], Framing(Ending.LENGTH, 0)),
        ([b"12"], [], Framing(Ending.LENGTH, 12)),
        ([b"0012"], [], Framing(Ending.LENGTH, 12)),
        ([b"9" * 18], [], Framing(Ending.LENGTH, int("9" * 18))),
        ([], [b"chunked"], CHUNKED),
        ([], [b"ChunKed"], CHUNKED),
    ],
)
def test_a_request_says_how_it_ends_in_one_way(lengths: list[bytes], codings: list[bytes], expected: Framing) -> None:
    """One length, or exactly chunked, or no body."""
    assert request_framing(lengths, codings, http_11=True) == expected


@pytest.mark.parametrize(
    ("lengths", "codings", "reason"),
    [
        ([b"1", b"1"], [], "repeated"),
        ([b""], [], "number"),
        ([b"1 "], [], "number"),
        ([b"1,1"], [], "number"),
        ([b"+1"], [], "number"),
        ([b"1_0"], [], "number"),
        ([b"\xd9\xa1"], [], "number"),
        ([b"9" * 19], [], "number"),
        ([b"1"], [b"chunked"], "together"),
        ([], [b"chunked", b"chunked"], "exactly"),
        ([], [b""], "exactly"),
        ([], [b"gzip, chunked"], "exactly"),
        ([], [b"chunked "], "exactly"),
    ],
)
def test_anything_else_is_refused_in_both_directions(lengths: list[bytes], codings: list[bytes], reason: str) -> None:
    """The connection of the client is closed, that of the service has lied."""
    with pytest.raises(BadRequest, match=reason) as refused:
        request_framing(lengths, codings, http_11=True)
    assert refused.value.close
    with pytest.raises(UpstreamError, match=reason) as invalid:
        response_framing(b"GET", 200, lengths, codings, http_11=True)
    assert invalid.value.code is Code.UPSTREAM_INVALID


def test_1_0_knows_no_transfer_coding() -> None:
    """RFC 9112 s6.1, in both directions."""
    with pytest.raises(BadRequest, match=r"1\.0"):
        request_framing([], [b"chunked"], http_11=False)
    assert request_framing([b"3"], [], http_11=False) == Framing(Ending.LENGTH, 3)
    with pytest.raises(UpstreamError, match=r"1\.0"):
        response_framing(b"GET", 200, [], [b"chunked"], http_11=False)


@pytest.mark.parametrize(
    ("method", "status", "bodyless"),
    [
        (b"HEAD", 200, True),
        (b"HEAD", 404, True),
        (b"GET", 100, True),
        (b"GET", 199, True),
        (b"GET", 204, True),
        (b"GET", 304, True),
        (b"GET", 200, False),
        (b"GET", 205, False),
        (b"POST", 500, False),
    ],
)
def test_method_and_status_decide_before_any_field(method: bytes, status: int, bodyless: bool) -> None:
    """RFC 9112 s6.3 rule 1; without a field the rest goes on until the connection closes."""
    for lengths, codings, said in (
        ([b"5"], [], Framing(Ending.LENGTH, 5)),
        ([], [b"chunked"], CHUNKED),
        ([], [], Framing(Ending.CLOSE)),
    ):
        found = response_framing(method, status, lengths, codings, http_11=True)
        assert found == (NO_BODY if bodyless else said)


BODIES = [
    (NO_BODY, b"", b""),
    (Framing(Ending.LENGTH, 0), b"", b""),
    (Framing(Ending.LENGTH, 5), b"hello", b"hello"),
    (CHUNKED, b"0\r\n\r\n", b""),
    (CHUNKED, b"3;x\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n", b"hello"),
]


@pytest.mark.parametrize(("framing", "raw", "content"), BODIES)
@pytest.mark.parametrize("follows", [b"", b"G", b"GET /next HTTP/1.1\r\n\r\n", b"\r\n"])
def test_a_reader_takes_the_body_and_leaves_what_follows(
    framing: Framing, raw: bytes, content: bytes, follows: bytes
) -> None:
    """However the bytes come: whole, one by one, or cut at every offset."""
    for pieces in in_pieces(raw + follows) if raw + follows else [[b""]]:
        reader = BodyReader(framing)
        got, left = b"", b""
        for piece in pieces:
            taken, rest = reader.take(piece)
            got += taken
            left += rest
        assert (got, left, reader.done, reader.received) == (content, follows, True, len(content)), pieces


def test_a_reader_is_not_done_before_the_end() -> None:
    """One byte short is not whole, in either coding."""
    for framing, raw, _ in BODIES:
        if raw:
            reader = BodyReader(framing)
            reader.take(raw[:-1])
            assert not reader.done


def test_a_body_until_close_never_ends_by_itself() -> None:
    """Only the end of the connection ends it."""
    reader = BodyReader(Framing(Ending.CLOSE))
    assert reader.take(b"abc") == (b"abc", b"")
    assert reader.take(b"") == (b"", b"")
    assert (reader.done, reader.received) == (False, 3)


def test_a_broken_coding_is_told() -> None:
    """The reader passes the decoder's refusal on."""
    with pytest.raises(ValueError, match="chunk size"):
        BodyReader(CHUNKED).take(b"x\r\n")
