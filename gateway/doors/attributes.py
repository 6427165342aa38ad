"""Envoy's `CheckRequest` to the request it describes, and our answer to its `CheckResponse`. Pure."""

from typing import Any, Final

from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

from gateway.doors.asked import Allowed, Asked, Denied, Fields
from gateway.doors.envoy import parted
from gateway.doors.forward import Client, refusal_fields
from gateway.errors import BadRequest
from gateway.model import Peer
from gateway.serve.refusal import body
from gateway.wire.framing import NO_BODY, Framing, request_framing

PARTIAL: Final = b"x-envoy-auth-partial-body"
_OK, _PERMISSION_DENIED, _UNAUTHENTICATED = 0, 7, 16  # google.rpc.Code
_UNAUTHORIZED: Final = 401
_OWN: Final = frozenset({b"host", b"connection", PARTIAL})


def read(request: CheckRequest, client: Client, source: Peer) -> Asked:
    """The client's request.

    Args:
        request: As Envoy sent it.
        client: Reads `X-Forwarded-For`, where `source` is a hop.
        source: Who is at the other end of Envoy's connection.

    Raises:
        BadRequest: It cannot be read.
    """
    http = request.attributes.request.http
    headers = _headers(http)
    whole = not any(name == PARTIAL and value != b"false" for name, value in headers)
    fields = tuple(pair for pair in headers if pair[0] not in _OWN and not pair[0].startswith(b":"))
    return Asked(
        client=client(source, headers) if source.hop else source,
        method=http.method.encode("utf-8"),
        target=http.path.encode("utf-8"),
        headers=fields,
        framing=_framing(fields),
        body=_body(http, headers, whole=whole),
    )


def source_of(request: CheckRequest) -> tuple[str, int]:
    """The address at the other end of Envoy's own connection."""
    address = request.attributes.source.address.socket_address
    return (address.address or "unknown", address.port_value)


def _headers(http: Any) -> Fields:
    """Every field, names in lower case.

    With `encode_raw_headers` each stands as it came; without it equal ones are joined.
    """
    raw = http.header_map.headers
    if raw:
        return tuple((it.key.lower().encode("utf-8"), it.raw_value or it.value.encode("utf-8")) for it in raw)
    return parted((name.lower().encode("utf-8"), value.encode("utf-8")) for name, value in http.headers.items())


def _framing(fields: Fields) -> Framing:
    """How the client's body ends. Envoy speaks HTTP/2 as well, where nothing need say so."""
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    return request_framing(lengths, codings, http_11=True) if lengths or codings else NO_BODY


def _body(http: Any, headers: Fields, *, whole: bool) -> bytes | None:
    """The body, if Envoy sent all of it, byte for byte.

    Without `with_request_body` nothing says whether it is partial. In `body` Envoy puts text, with what is not UTF-8
    replaced; only `raw_body` (`pack_as_bytes`) is what it will forward.
    """
    if not whole or not any(name == PARTIAL for name, _ in headers) or (http.body and not http.raw_body):
        return None
    raw: bytes = http.raw_body
    if http.size >= 0 and http.size != len(raw):
        raise BadRequest("door: the body is not as long as its length")
    return raw


def answer(told: Allowed | Denied) -> CheckResponse:
    """What Envoy is told."""
    found = CheckResponse()
    if isinstance(told, Allowed):
        found.status.code = _OK
        for name, value in told.fields:
            _add(found.ok_response.headers, name, value)
        found.ok_response.headers_to_remove.extend(name.decode("latin-1") for name in told.remove)
        found.dynamic_metadata.update({"decision_id": told.decision_id, "policy_version": told.policy_version})
        return found
    status = told.error.code.status
    found.status.code = _UNAUTHENTICATED if status == _UNAUTHORIZED else _PERMISSION_DENIED
    found.status.message = told.error.code.word
    found.denied_response.status.code = status
    for name, value in refusal_fields(told, all_fields=True):
        _add(found.denied_response.headers, name, value)
    found.denied_response.body = body(told.error, told.trace_id).decode("ascii")
    found.dynamic_metadata.update({"decision_id": told.decision_id, "code": told.error.code.word})
    return found


def _add(options: Any, name: bytes, value: bytes) -> None:
    """Add a field that replaces every other of its name; its value is ASCII."""
    option = options.add()
    option.header.key = name.decode("ascii")
    option.header.value = value.decode("latin-1")  # Envoy takes `raw_value` of an allow only; ours are ASCII
    option.append_action = option.OVERWRITE_IF_EXISTS_OR_ADD
