"""The trace of a request: the caller's where it is well-formed and the only one, else a new one."""

import re

import pytest

from gateway.forward.trace import trace_id
from roles.security_context.headers import traceparent
from tests.builders.heads import TRACE

GOOD = f"00-{TRACE}-00f067aa0ba902b7-01".encode()


@pytest.mark.parametrize("value", [GOOD, GOOD[:-2] + b"00", b"01" + GOOD[2:], b"cc" + GOOD[2:] + b"-what-else"])
def test_the_callers_trace_goes_on(value: bytes) -> None:
    """Of version 00, and of later ones as far as they are alike."""
    assert trace_id([value]) == TRACE


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b""],
        [GOOD, GOOD],
        [GOOD + b"-more"],
        [b"ff" + GOOD[2:]],
        [GOOD.upper()],
        [b"00-" + b"0" * 32 + GOOD[35:]],
        [GOOD[:36] + b"0" * 16 + GOOD[52:]],
        [b" " + GOOD],
        [GOOD[:-1]],
        [GOOD.replace(b"4bf9", b"\xff\xff\xff\xff")],
        [b"00-x\r\nevil: 1"],
    ],
)
def test_anything_else_is_as_good_as_none(values: list[bytes]) -> None:
    """A new one is made: never an error, never the caller's bytes, never the same twice."""
    made = {trace_id(values) for _ in range(20)}
    assert len(made) == 20
    assert all(re.fullmatch("[0-9a-f]{32}", each) and each != TRACE and int(each, 16) for each in made)


def test_the_next_hop_gets_the_trace_with_a_span_of_our_own() -> None:
    """And it can be read by the same rules."""
    values = {traceparent(TRACE) for _ in range(20)}
    assert len(values) == 20
    for value in values:
        assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", value)
        assert trace_id([value.encode()]) == TRACE
