"""The codes a caller is told: one list, each with its status, each error with its code."""

import pytest

from gateway import errors
from gateway.errors import Code, GatewayError

# DESIGN section 4, the table of refusals.
TABLE = {
    400: ["bad_request"],
    401: ["unauthenticated", "token_expired", "token_invalid"],
    403: ["forbidden", "tenant_mismatch"],
    404: ["route_unknown"],
    405: ["method_not_allowed"],
    408: ["request_timeout"],
    413: ["payload_too_large"],
    414: ["uri_too_long"],
    415: ["unsupported_media_type"],
    429: ["rate_limited"],
    431: ["header_too_large"],
    500: ["internal"],
    502: ["upstream_unavailable", "upstream_invalid", "redaction_failed"],
    503: ["overloaded", "policy_unavailable", "audit_unavailable"],
    504: ["upstream_timeout"],
}
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GatewayError)]


def test_codes_and_statuses_are_those_of_the_design() -> None:
    """Callers build on them: none is added, renamed or moved by accident."""
    found: dict[int, list[str]] = {}
    for code in Code:
        found.setdefault(code.status, []).append(code.word)
    assert found == TABLE


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_has_its_code_and_takes_another(kind: type[GatewayError]) -> None:
    """The class says what kind it is, the code what the caller is told; one that is given changes no other's."""
    plain = kind("why")
    assert (plain.reason, str(plain), plain.code, plain.close) == ("why", "why", kind.code, False)
    assert (plain.missing_role, plain.headers) == (None, ())
    special = kind("x", code=Code.OVERLOADED, missing_role="R", close=True, headers=((b"a", b"b"),))
    assert (special.code, special.missing_role, special.close, special.headers) == (
        Code.OVERLOADED,
        "R",
        True,
        ((b"a", b"b"),),
    )
    assert kind("why").code is kind.code


def test_the_tree_in_the_docstring_names_every_kind() -> None:
    """It is what people read first."""
    assert errors.__doc__ is not None
    for kind in KINDS:
        assert f"{kind.__name__} " in errors.__doc__
        if kind is not GatewayError:
            line = next(line for line in errors.__doc__.splitlines() if f"- {kind.__name__} " in line)
            assert kind.code.word in line
            assert str(kind.code.status) in line
