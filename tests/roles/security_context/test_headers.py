"""The fields that carry a context, and trace ids."""

import pytest

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


def test_new_trace_ids_are_usable_and_differ() -> None:
    """Over several of the batches they are made in; also where chance says zero."""
    made = [headers.new_trace_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(headers.usable_trace_id(trace) for trace in made)


def test_a_trace_of_zeros_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what says that there is no trace."""

    class Chance:
        """Zeros first."""

        def randbytes(self, count: int) -> bytes:
            """As `Random.randbytes`."""
            return bytes(16) + bytes(range(1, count - 15))

    monkeypatch.setattr(headers, "_NAMES", Chance())
    monkeypatch.setattr(headers, "_AT_ONCE", 2)
    monkeypatch.setattr(headers, "_TRACES", [])
    assert headers.new_trace_id() == bytes(range(1, 17)).hex()


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("0199f0c3-5d2e-7a10-8000-000000000001", True),
        ("", False),
        ("a" * 65, False),
        ("a\nb", False),
        ("d-1\n", False),
        ("\u00e9", False),
        ("'; --", False),
    ],
)
def test_what_is_no_decision_id_is_none(text: str, usable: bool) -> None:
    """It goes into records, and beside a context for reading nobody has signed it."""
    assert headers.usable_decision_id(text) == (text if usable else "")
