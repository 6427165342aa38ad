"""What the gateway itself answers."""

import json

import pytest

from gateway.errors import Code, Forbidden, GatewayError, MethodNotAllowed
from gateway.serve import refusal

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
EVENT = "01a20935-0000-7000-8000-000000000001"


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_its_status_and_exactly_three_fields(code: Code) -> None:
    """And a reason phrase, and a length that fits."""
    answer = refusal.response(GatewayError("why", code=code), TRACE, EVENT, close=False, head_only=False)
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    assert line.startswith(b"HTTP/1.1 %d " % code.status)
    assert len(line.split(b" ", 2)[2]) > 3
    assert json.loads(body) == {"code": code.word, "missing_role": None, "trace_id": TRACE}
    assert b"content-length: %d" % len(body) in fields
    assert b"why" not in answer


def test_the_missing_role_and_further_fields_are_told() -> None:
    """Where there are some."""
    error = Forbidden("policy", missing_role="Manager")
    assert json.loads(refusal.body(error, TRACE))["missing_role"] == "Manager"
    allow = MethodNotAllowed("no", headers=((b"allow", b"GET"),))
    assert b"\r\nallow: GET\r\n" in refusal.response(allow, TRACE, EVENT, close=False, head_only=False)


def test_an_answer_to_head_has_no_body_and_a_last_one_says_so() -> None:
    """The length is the body's that GET would have had."""
    answer = refusal.response(Forbidden("policy"), TRACE, EVENT, close=True, head_only=True)
    assert answer.endswith(b"\r\nconnection: close\r\n\r\n")
    assert b"content-length: 0" not in answer
