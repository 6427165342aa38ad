"""What only WSGI has: variables for fields, an input whose end may be unknown, threads that go on to others."""

import io
from typing import Any

import pytest

from roles.security_context.claims import body_hash, target_hash
from roles.security_context.context import current_context
from roles.security_context.verifier import ContextVerifier
from roles.security_context.wsgi import CONTEXT_KEY, SecurityContextWsgi
from tests.builders.contexts import ISSUER, NOW, make_context, real_signer
from tests.builders.shells import BlockingKeys, Keys

BODY = b'{"amount": 7}'


def asked(app: Any, **environ: Any) -> tuple[str, list[bytes]]:
    """What is said to a request with a context for `BODY`, as a server calls the application."""
    token = real_signer().sign(make_context(htm="POST", htp=target_hash(b"/orders"), htb=body_hash(BODY)))
    usual = {
        "REQUEST_METHOD": "POST",
        "RAW_URI": "/orders",
        "PATH_INFO": "/orders",
        "SCRIPT_NAME": "",
        "HTTP_X_SECURITY_CONTEXT": token,
        "CONTENT_LENGTH": str(len(BODY)),
        "wsgi.input": io.BytesIO(BODY),
    }
    given = {key: value for key, value in (usual | environ).items() if value is not None}
    said: list[str] = []
    guard = SecurityContextWsgi(
        app, ContextVerifier(ISSUER, "order"), BlockingKeys(Keys()), clock=lambda: NOW, exempt={"/healthz"}
    )
    answer = guard(given, lambda status, _: said.append(status))  # type: ignore[arg-type,return-value]
    content = list(answer)
    close = getattr(answer, "close", None)
    if close:
        close()
    return (said[0] if said else ""), content


def echo(environ: Any, start_response: Any) -> list[bytes]:
    """Answers with the body, read as a framework reads it."""
    start_response("200 OK", [])
    return [environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))]


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({}, "200"),
        ({"RAW_URI": None, "REQUEST_URI": "/orders"}, "200"),
        ({"RAW_URI": None}, "401"),  # nobody knows what was asked for
        ({"RAW_URI": "http://order/orders"}, "401"),  # another form of it
        ({"RAW_URI": "/orders\u20ac"}, "401"),  # no bytes
        ({"PATH_INFO": "/refunds"}, "401"),  # something has rewritten it: that was not decided
        ({"QUERY_STRING": "all=1"}, "401"),
        ({"SCRIPT_NAME": "/orders", "PATH_INFO": ""}, "200"),
        ({"SCRIPT_NAME": "/shop"}, "401"),
        ({"CONTENT_LENGTH": "x"}, "401"),
        ({"CONTENT_LENGTH": "-1"}, "401"),
        ({"CONTENT_LENGTH": "\u0661"}, "401"),  # a digit, and none of HTTP's
        ({"CONTENT_LENGTH": "14"}, "401"),  # it came short
        ({"CONTENT_LENGTH": "12"}, "401"),
        ({"CONTENT_LENGTH": None}, "401"),  # no body, then
        ({"CONTENT_LENGTH": "", "wsgi.input_terminated": True}, "200"),
        ({"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked"}, "401"),  # its end cannot be told
        ({"CONTENT_LENGTH": "99999999999"}, "413"),
    ],
)
def test_what_cannot_be_compared_is_not_believed(environ: dict[str, Any], status: str) -> None:
    """And what can is given to the application whole."""
    said, content = asked(echo, **environ)
    assert said.split()[0] == status
    assert content == [BODY] if status == "200" else b'"code"' in content[0]


def test_a_body_without_a_known_end_is_not_an_empty_one() -> None:
    """A context for an empty body does not let one through of which nobody knows what it is."""
    nothing = real_signer().sign(make_context(htm="POST", htp=target_hash(b"/orders"), htb=body_hash(b"")))
    usual = {"HTTP_X_SECURITY_CONTEXT": nothing, "CONTENT_LENGTH": None, "wsgi.input": io.BytesIO(BODY)}
    assert asked(echo, **usual)[0] == "200 OK"
    assert asked(echo, **usual, HTTP_TRANSFER_ENCODING="chunked")[0].startswith("401")


def test_nobody_is_served_after_the_end() -> None:
    """Whether the application answers at once, while it is iterated, or not at all; the answer is closed for it."""
    closed: list[bool] = []

    class Slow:
        def __iter__(self) -> Any:
            assert current_context() is not None
            yield b"x"

        def close(self) -> None:
            closed.append(current_context() is not None)

    assert asked(lambda _, __: Slow())[1] == [b"x"]
    assert (closed, current_context()) == ([True], None)

    def failing(_: Any, __: Any) -> Any:
        raise KeyError

    with pytest.raises(KeyError):
        asked(failing)
    assert current_context() is None


def test_what_a_client_or_a_layer_outside_says_is_not_the_context() -> None:
    """A value that is there already goes; a rewritten path opens no exempt one."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        assert CONTEXT_KEY not in environ
        start_response("200 OK", [])
        return [b""]

    assert asked(app, PATH_INFO="/healthz", RAW_URI="/healthz", **{CONTEXT_KEY: "forged"})[0] == "200 OK"
    nobody = {"HTTP_X_SECURITY_CONTEXT": None}
    assert asked(app, PATH_INFO="/orders", RAW_URI="/healthz", **nobody)[0].startswith("401")
    assert asked(app, PATH_INFO="/healthz", RAW_URI="/orders", **nobody)[0].startswith("401")
