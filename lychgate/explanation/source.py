"""What is to be explained, from options, a file, standard input or the audit: always as JSON, read strictly."""

import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from gateway.strict_json import NotStrictJson, parse_value
from lychgate.errors import ConfigurationError
from policies.bundle import Bundle
from policies.errors import UnknownAction
from policies.model import Json

MAX_BYTES: Final = 1024 * 1024
_DEPTH: Final = 64
_TIMEOUT_S: Final = 10.0
_OK: Final = 200


def from_options(
    bundle: Bundle,
    *,
    roles: list[str],
    action: str,
    tenant: str | None,
    user: str | None,
    resource: str | None,
    resource_tenant: str | None,
    context: list[str],
) -> dict[str, Json]:
    """A described request (`roles.described`) from words on the command line.

    Raises:
        ConfigurationError: A word cannot be understood.
    """
    what: dict[str, Json] = {"tenant": resource_tenant} if resource_tenant is not None else {}
    if resource is not None:
        what |= _resource(bundle, action, resource)
    who: dict[str, Json] = {"tenant": tenant} if tenant is not None else {}
    if user is not None:
        who["sub"] = user
    return {
        "action": action,
        "roles": [*roles],
        "principal": who,
        "resource": what,
        "context": dict(_pair(each) for each in context),
    }


def from_file(file: Path) -> Json:
    """One JSON value from a file, or from standard input for `-`.

    Raises:
        ConfigurationError: It cannot be read, is too large, or is not strict JSON.
    """
    try:
        if str(file) == "-":
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with file.open("rb") as opened:
                raw = opened.read(MAX_BYTES + 1)
    except OSError as exc:
        raise ConfigurationError(f"{file}: cannot be read: {exc.strerror}") from exc
    if len(raw) > MAX_BYTES:
        raise ConfigurationError(f"{file}: more than {MAX_BYTES} bytes")
    try:
        return parse_value(raw, _DEPTH)
    except NotStrictJson as exc:
        raise ConfigurationError(f"{file}: {exc}") from exc


def from_audit(event_id: str, url: str, token_file: Path) -> Json:
    """One event as the audit shows it to the bearer of a token.

    Args:
        event_id: The decision's id.
        url: Of the gateway, without a path; the query API is asked through it, so that reading is decided and recorded.
        token_file: Holds the token: on a command line others would see it.

    Raises:
        ConfigurationError: It cannot be had; says why, never the token.
    """
    import httpx

    try:
        token = token_file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{token_file}: cannot be read: {type(exc).__name__}") from exc
    try:
        answer = httpx.get(
            f"{url.rstrip('/')}/audit/events/{quote(event_id, safe='')}",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=_TIMEOUT_S,
        )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as exc:
        raise ConfigurationError(f"{url}: the audit cannot be asked: {type(exc).__name__}") from exc
    if answer.status_code != _OK:
        raise ConfigurationError(f"{url}: the audit does not show {event_id}: {answer.status_code} {_code(answer)}")
    try:
        return parse_value(answer.content, _DEPTH)
    except NotStrictJson as exc:
        raise ConfigurationError(f"{url}: what the audit answered is no event: {exc}") from exc


def _code(answer: Any) -> str:
    """The code of a refusal, if it has one of ours."""
    try:
        body = parse_value(answer.content, _DEPTH)
    except NotStrictJson:
        return ""
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, str) and code.isidentifier() else ""


def _resource(bundle: Bundle, action: str, text: str) -> dict[str, Json]:
    """`Type::id` or `Type::"id"`; the type is one of the action's, which tells where the id begins."""
    try:
        types = bundle.resource_types(action)
    except UnknownAction as exc:
        raise ConfigurationError(str(exc)) from exc
    for kind in types:
        if text.startswith(f"{kind}::"):
            name = text.removeprefix(f"{kind}::")
            quoted = name.startswith('"') and name.endswith('"') and len(name) > 1
            return {"type": kind, "id": name[1:-1] if quoted else name}
    raise ConfigurationError(f"--resource: `{text}` is none of {', '.join(f'{kind}::ID' for kind in types)}")


def _pair(text: str) -> tuple[str, Json]:
    """`name=value`; what is not JSON is text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigurationError(f"--context: `{text}` is not NAME=VALUE")
    try:
        return name, parse_value(value.encode("utf-8", "surrogateescape"), _DEPTH)
    except NotStrictJson:
        return name, value
