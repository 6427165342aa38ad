"""The fields that carry a context, and trace ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.security_context import headers
from tests.builders.contexts import TRACE_ID, make_context


def test_the_fields_of_a_request() -> None:
    """Everything a service is told, under the names of the design."""
    sent = headers.fields(make_context(roles=("Cashier", "Support")), "a.b.c", "d-1", span_id="00f067aa0ba902b7")
    assert sent == {
        "X-Security-Context": "a.b.c",
        "X-Tenant-Id": "acme",
        "X-User-Id": "u-1",
        "X-User-Roles": "Cashier,Support",
        "X-Trace-Id": TRACE_ID,
        "X-Decision-Id": "d-1",
        "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01",
    }
    assert tuple(sent) == headers.NAMES


def test_a_span_is_made_and_is_new() -> None:
    """Two requests of one trace are two spans, and what is made can be read."""
    one, two = (headers.fields(make_context(), "", "")["traceparent"] for _ in range(2))
    assert one != two
    assert headers.trace_id_of(one) == TRACE_ID


@pytest.mark.parametrize("text", [None, "", "0" * 32, TRACE_ID.upper(), TRACE_ID + "0", TRACE_ID[:-1], TRACE_ID + "\n"])
def test_what_is_no_trace_id(text: str | None) -> None:
    """32 lower-case hex digits, not all zero, and nothing else."""
    assert headers.usable_trace_id(text) is None


@pytest.mark.parametrize(
    ("traceparent", "expected"),
    [
        (f"00-{TRACE_ID}-00f067aa0ba902b7-01", TRACE_ID),
        (f"00-{TRACE_ID}-00f067aa0ba902b7-01-more", None),
        (f"cc-{TRACE_ID}-00f067aa0ba902b7-01-more", TRACE_ID),
        (f"cc-{TRACE_ID}-00f067aa0ba902b7-01", TRACE_ID),
        (f"cc-{TRACE_ID}-00f067aa0ba902b7-01.more", None),
        (f"ff-{TRACE_ID}-00f067aa0ba902b7-01", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE_ID}-{'0' * 16}-01", None),
        (f"00-{TRACE_ID.upper()}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE_ID}-00f067aa0ba902b7", None),
        ("", None),
        (None, None),
    ],
)
def test_the_trace_id_of_a_traceparent(traceparent: str | None, expected: str | None) -> None:
    """W3C Trace Context, versions to come included; what is malformed is not used."""
    assert headers.trace_id_of(traceparent) == expected


@given(st.binary(min_size=16, max_size=16))
def test_a_new_trace_id_is_usable(random: bytes) -> None:
    """Also where chance says zero."""
    source = iter([bytes(16), random if any(random) else b"\x01" * 16])
    assert headers.usable_trace_id(headers.new_trace_id(lambda _: next(source))) is not None
