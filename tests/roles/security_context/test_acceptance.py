"""The rules without a server: what is asked for when, and why somebody is refused."""

from typing import Any

import pytest

from roles.errors import ContextRejected, ContextUnusable
from roles.security_context.acceptance import Acceptance, Need, Received, drive, drive_blocking
from roles.security_context.claims import body_hash, target_hash
from roles.security_context.keys import TrustedKeys
from roles.security_context.verifier import ContextVerifier, Reason
from tests.builders.contexts import ISSUER, NOW, make_context, real_signer

RULES = Acceptance(ContextVerifier(ISSUER, "order"), lambda: NOW)
BODY = b"{}"


def received(method: str = "POST", target: bytes | None = b"/orders", **claims: Any) -> Received:
    """A request with a context for `POST /orders` and that body."""
    given = {"htm": "POST", "htp": target_hash(b"/orders"), "htb": body_hash(BODY), **claims}
    return Received(method, target, [real_signer().sign(make_context(**given))])


def asked(request: Received) -> tuple[list[Need], str]:
    """What the rules asked for, and why they refused; nothing where they did not."""
    needs: list[Need] = []

    def answer(need: Need) -> TrustedKeys | bytes | None:
        needs.append(need)
        return BODY if need is Need.BODY else real_signer().trusted_keys("order")

    try:
        drive_blocking(RULES.steps(request, "t"), answer)
    except ContextRejected as exc:
        return needs, exc.reason
    return needs, ""


def test_a_body_is_asked_for_last() -> None:
    """Nobody's body is read for a context that does not fit anyway, or is not bound to it."""
    assert asked(received()) == ([Need.KEYS, Need.BODY], "")
    assert asked(received(method="PUT")) == ([Need.KEYS], Reason.METHOD)
    assert asked(received(target=b"/orders?x")) == ([Need.KEYS], Reason.TARGET)
    assert asked(received(htb=None)) == ([Need.KEYS], "")
    assert asked(received(htb=body_hash(b"[]"))) == ([Need.KEYS, Need.BODY], Reason.BODY)
    # bound to a body alone is bound to no request
    assert asked(received(htm=None, htp=None))[1] == Reason.NOT_BOUND
    assert asked(received(method="GET", htm=None, htp=None))[1] == Reason.METHOD


def test_a_target_that_is_not_known_fits_nothing() -> None:
    """Not even a context for none."""
    assert asked(received(target=None, htp=target_hash(b""))) == ([Need.KEYS], Reason.TARGET)


def test_two_fields_that_a_server_has_joined_are_two() -> None:
    """No compact JWS holds a comma; nothing is asked for."""
    token = received().contexts[0]
    assert asked(Received("POST", b"/orders", [f"{token},{token}"])) == ([], Reason.REPEATED)
    assert asked(Received("POST", b"/orders", [f"{token},"])) == ([], Reason.REPEATED)


async def test_who_has_no_keys_believes_nobody() -> None:
    """In a loop and in a thread, also where the fresh ones cannot be had."""

    async def away(_: Need) -> TrustedKeys:
        raise ContextUnusable("none")

    with pytest.raises(ContextRejected) as caught:
        await drive(RULES.steps(received(), "t"), away)
    assert caught.value.reason == Reason.KEYS_UNAVAILABLE

    def old(need: Need) -> TrustedKeys:
        if need is Need.FRESH_KEYS:
            raise ContextUnusable("none")
        return real_signer("ES256").trusted_keys("order")

    with pytest.raises(ContextRejected) as caught:
        drive_blocking(RULES.steps(received(), "t"), old)
    assert caught.value.reason == Reason.KEYS_UNAVAILABLE


def test_what_nobody_signed_is_no_decision() -> None:
    """Beside a context for reading the field is taken if it may be an id; beside a bound one it is not looked at."""

    def decided(request: Received) -> str:
        return drive_blocking(RULES.steps(request, "t"), lambda _: real_signer().trusted_keys("order")).decision_id

    reading = Received("GET", b"/orders", [real_signer().sign(make_context())])
    assert decided(reading._replace(decision_id="d-1")) == "d-1"
    assert decided(reading._replace(decision_id="d-1, and what somebody would like to see in a record")) == ""
    bound = received(htb=None)._replace(decision_id="d-1")
    assert decided(bound) == make_context().jti
