"""Heads of answers, remembered by their bytes."""

import pytest

from gateway.errors import UpstreamError
from gateway.forward import answers
from gateway.forward.answers import AnswerHeads
from gateway.wire.framing import Ending
from gateway.wire.head import read_response

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


def test_the_same_bytes_are_the_same_head() -> None:
    """Read once."""
    heads = AnswerHeads()
    assert heads.get(HEAD, b"GET") == read_response(HEAD, b"GET")
    assert heads.get(bytes(HEAD), b"POST") is heads.get(HEAD, b"GET")


def test_an_answer_to_head_is_framed_for_itself() -> None:
    """The same bytes have no body there."""
    heads = AnswerHeads()
    assert heads.get(HEAD, b"GET").framing.ending is Ending.LENGTH
    assert heads.get(HEAD, b"HEAD").framing.ending is Ending.NONE
    assert heads.get(HEAD, b"GET").framing.ending is Ending.LENGTH


@pytest.mark.parametrize("field", [b"Set-Cookie: session=1", b"WWW-Authenticate: Bearer", b"X-Long: " + b"x" * 2000])
def test_what_is_one_callers_or_long_is_not_kept(field: bytes) -> None:
    """A session's cookie outlives its answer in no memory."""
    heads = AnswerHeads()
    block = HEAD[:-2] + field + b"\r\n\r\n"
    assert heads.get(block, b"GET") is not heads.get(block, b"GET")
    assert repr(heads) == "AnswerHeads(0 of 512)"


def test_what_is_wrong_is_wrong_each_time() -> None:
    """A refusal is not kept."""
    heads = AnswerHeads()
    for _ in range(2):
        with pytest.raises(UpstreamError):
            heads.get(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"GET")


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that says something else each time does not fill the memory."""
    monkeypatch.setattr(answers, "_HEADS", 3)
    heads = AnswerHeads()
    for n in range(10):
        heads.get(HEAD[:-2] + b"X-N: %d\r\n\r\n" % n, b"GET")
    assert len(heads._known) <= 3
