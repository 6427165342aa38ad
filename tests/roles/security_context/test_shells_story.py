"""The same requests, byte for byte, before every kind of service and on real servers: one verdict, whatever serves."""

from collections.abc import Iterator
from typing import Any

import pytest

from roles.security_context.claims import SecurityContext, body_hash, target_hash
from roles.security_context.signer import ContextSigner
from tests.builders.contexts import TRACE_ID, make_context, real_signer
from tests.builders.shells import KINDS, LIMIT_BYTES, Answer, Shell, shell

KEEPS_TARGET = [kind for kind in KINDS if kind != "wsgiref"]
KNOWS_PATHS = [kind for kind in KINDS if kind not in {"fastapi", "router"}]
"""FastAPI says by endpoint what others say by path."""


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, Shell]]:
    """All of them, started when they are first asked for."""
    opened: dict[str, Any] = {}

    class Started(dict[str, Shell]):
        def __missing__(self, kind: str) -> Shell:
            opened[kind] = shell(kind)
            self[kind] = opened[kind].__enter__()
            return self[kind]

    try:
        yield Started()
    finally:
        for each in opened.values():
            each.__exit__(None, None, None)


def shown(context: SecurityContext, signer: ContextSigner | None = None) -> str:
    """The field with this context."""
    return f"X-Security-Context: {(signer or real_signer()).sign(context)}"


def bound(method: str, target: str, body: bytes | None = None, **claims: Any) -> str:
    """The field with a context for one request."""
    htb = None if body is None else body_hash(body)
    return shown(make_context(htm=method, htp=target_hash(target.encode("latin-1")), htb=htb, **claims))


def refused(answer: Answer, code: str = "token_invalid", status: int = 401) -> bool:
    """Whether it is a refusal in the one shape."""
    assert answer.status == status, answer.raw
    assert answer.fields["content-type"] == ["application/json"]
    assert ("www-authenticate" in answer.fields) == (status == 401)
    said = answer.json
    assert set(said) == {"code", "missing_role", "trace_id"}
    assert (said["code"], said["missing_role"]) == (code, None)
    return len(said["trace_id"]) == 32


def chunked(target: str, field: str, *pieces: bytes) -> bytes:
    """A request whose body comes in chunks."""
    head = (
        f"POST {target} HTTP/1.1\r\nHost: order\r\nConnection: close\r\n{field}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return head.encode() + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("kind", KINDS)
def test_who_reads_with_a_context_is_known_everywhere(running: dict[str, Shell], kind: str) -> None:
    """In the request, in the context variable; the trace is that of the request in hand."""
    answer = running[kind].send("GET", "/orders/7?limit=5", shown(make_context()), f"X-Trace-Id: {'f' * 32}")
    assert answer.status == 200, answer.raw
    said = answer.json
    assert (said["tenant"], said["current"], said["trace"], said["path"]) == ("acme", "u-1", "f" * 32, "/orders/7")


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_context_nobody_gets_in(running: dict[str, Shell], kind: str) -> None:
    """None, an empty one, two, one among lies, one of nonsense, one in another tongue."""
    service = running[kind]
    good = shown(make_context())
    assert refused(service.send("GET", "/orders"), "unauthenticated")
    assert refused(service.send("GET", "/orders", "X-Security-Context: "), "unauthenticated")
    assert refused(service.send("GET", "/orders", good, good))
    assert refused(service.send("GET", "/orders", good, "x-security-context: nonsense"))
    assert refused(service.send("GET", "/orders", "X-Security-Context: a.b.c"))
    assert refused(service.send("GET", "/orders", "X-Security-Context: \xe9.\xff.c"))
    assert refused(service.send("GET", "/orders", "X-Tenant-Id: acme", "X-User-Id: root"), "unauthenticated")
    assert refused(service.send("GET", "/orders", shown(make_context(aud="payment"))))
    assert refused(service.send("GET", "/orders", shown(make_context(exp=1))))
    told = service.send("GET", "/orders", f"traceparent: 00-{'e' * 32}-{'1' * 16}-01")
    assert told.json["trace_id"] == "e" * 32


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_with_underscores_is_not_the_context(running: dict[str, Shell], kind: str) -> None:
    """Dropped by the server, or joined to the real one and refused, or alone: then it has to be good."""
    service = running[kind]
    good = real_signer().sign(make_context())
    beside = service.send("GET", "/orders", f"X-Security-Context: {good}", "X_Security_Context: nonsense")
    alone = service.send("GET", "/orders", "X_Security_Context: nonsense")
    if kind == "wsgiref":  # makes one variable of the two
        assert refused(beside)
        assert refused(alone)
        assert service.send("GET", "/orders", f"X_Security_Context: {good}").status == 200
    else:
        assert beside.status == 200
        assert refused(alone, "unauthenticated")
        assert refused(service.send("GET", "/orders", f"X_Security_Context: {good}"), "unauthenticated")


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_needs_a_bound_context(running: dict[str, Shell], kind: str) -> None:
    """One that can be used again and again is good for reading only."""
    assert refused(running[kind].send("POST", "/orders", shown(make_context()), body=b"{}"))
    assert refused(running[kind].send("DELETE", "/orders/7", shown(make_context())))


@pytest.mark.parametrize("kind", KEEPS_TARGET)
def test_a_bound_context_fits_one_request(running: dict[str, Shell], kind: str) -> None:
    """Method, path, query and body; the application gets the body all the same, and the decision's id."""
    service, target, body = running[kind], "/orders?a=%2F&b=1", b'{"amount": 7}'
    field = bound("POST", target, body)
    answer = service.send("POST", target, field, body=body)
    assert answer.status == 200, answer.raw
    assert (answer.json["body"], answer.json["decision"]) == (body.decode(), make_context().jti)
    assert answer.json["trace"] == TRACE_ID
    assert refused(service.send("PUT", target, field, body=body))
    assert refused(service.send("POST", "/orders?b=1&a=%2F", field, body=body))
    assert refused(service.send("POST", "/orders", field, body=body))
    assert refused(service.send("POST", target, field, body=b'{"amount": 8}'))
    assert refused(service.send("POST", target, field))
    # another spelling of the same path is another request
    assert refused(service.send("GET", "/orders/a/b", bound("GET", "/orders/a%2Fb")))
    assert service.send("GET", "/orders/a%2Fb", bound("GET", "/orders/a%2Fb")).status == 200
    assert service.send("POST", "/orders", bound("POST", "/orders", b"")).json["body"] == ""


def test_behind_a_server_that_hides_the_target_a_bound_context_is_refused(running: dict[str, Shell]) -> None:
    """`wsgiref` decodes the path and keeps nothing else: what cannot be compared is not believed."""
    assert refused(running["wsgiref"].send("POST", "/orders", bound("POST", "/orders", b"{}"), body=b"{}"))
    assert refused(running["wsgiref"].send("GET", "/orders", bound("GET", "/orders")))


@pytest.mark.parametrize("kind", KEEPS_TARGET)
def test_a_body_in_chunks_is_compared_and_given_on(running: dict[str, Shell], kind: str) -> None:
    """Whole, in whatever pieces it came."""
    service, body = running[kind], b'{"amount": 7}'
    field = bound("POST", "/orders", body)
    assert service.raw(chunked("/orders", field, body[:5], body[5:])).json["body"] == body.decode()
    assert refused(service.raw(chunked("/orders", field, body, b"!")))


@pytest.mark.parametrize("kind", ["fastapi", "router", "starlette", "asgi", "flask"])
def test_a_body_beyond_the_limit_is_not_held(running: dict[str, Shell], kind: str) -> None:
    """Whether its length is said or not; one to which nothing is bound streams through."""
    service, large = running[kind], b"x" * (LIMIT_BYTES + 1)
    field = bound("POST", "/orders", large)
    assert refused(service.send("POST", "/orders", field, body=large), "payload_too_large", 413)
    assert refused(service.raw(chunked("/orders", field, large[:1000], large[1000:])), "payload_too_large", 413)
    exact = large[:LIMIT_BYTES]
    assert service.send("POST", "/orders", bound("POST", "/orders", exact), body=exact).status == 200
    assert service.raw(chunked("/orders", bound("POST", "/orders", exact), exact)).status == 200
    through = service.send("POST", "/orders", bound("POST", "/orders"), body=large)
    assert len(through.json["body"]) == len(large)


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_is_refused_without_a_body(running: dict[str, Shell], kind: str) -> None:
    """The status is the same, and nothing follows the head."""
    service = running[kind]
    nobody = service.send("HEAD", "/orders")
    assert (nobody.status, nobody.content) == (401, b"")
    assert service.send("HEAD", "/orders", shown(make_context())).status == 200


@pytest.mark.parametrize("kind", KINDS)
def test_without_keys_nobody_is_believed(running: dict[str, Shell], kind: str) -> None:
    """Fail closed; a key that is not known is asked for once, and believed if it is there then."""
    service = running[kind]
    service.keys.trouble = True
    try:
        assert refused(service.send("GET", "/orders", shown(make_context())))
    finally:
        service.keys.trouble = False
    other = shown(make_context(), real_signer("ES256"))
    before = service.keys.asked_anew
    assert refused(service.send("GET", "/orders", other))
    service.keys.fresh = real_signer("ES256").trusted_keys("order")
    try:
        assert service.send("GET", "/orders", other).status == 200
    finally:
        service.keys.fresh = service.keys.believed
    assert service.keys.asked_anew == before + 2


@pytest.mark.parametrize("kind", KNOWS_PATHS)
def test_an_exempt_path_is_exactly_that_path(running: dict[str, Shell], kind: str) -> None:
    """No context is needed, and none is left from whoever was served before; no other spelling opens it."""
    service = running[kind]
    assert service.send("GET", "/orders", shown(make_context())).json["current"] == "u-1"
    answer = service.send("GET", "/healthz?x=1")
    assert answer.status == 200
    assert (answer.json["tenant"], answer.json["current"]) == (None, None)
    for other in (
        "/healthz/",
        "/healthz/../orders",
        "/Healthz",
        "/healthz;x",
        "/healthz%2F",
        "/x/healthz",
    ):
        assert refused(service.send("GET", other), "unauthenticated")
    if kind != "wsgiref":  # which shows no other spelling
        assert refused(service.send("GET", "/health%7A"), "unauthenticated")
    if kind in {"starlette", "asgi"}:  # Python's HTTP server makes one slash of two before anybody sees them
        assert refused(service.send("GET", "//healthz"), "unauthenticated")


@pytest.mark.parametrize("kind", KNOWS_PATHS)
def test_a_path_that_only_reads_takes_what_is_not_bound(running: dict[str, Shell], kind: str) -> None:
    """A search by POST; its neighbour does not."""
    service = running[kind]
    assert service.send("POST", "/search", shown(make_context()), body=b"{}").json["body"] == "{}"
    assert refused(service.send("POST", "/search/", shown(make_context()), body=b"{}"))
    assert refused(service.send("POST", "/search"), "unauthenticated")
