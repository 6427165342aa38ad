"""`lychgate token revoke`: asks a running gateway, over its operations port."""

import base64
import binascii
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json, print_rows
from lychgate.errors import LychgateError

_TIMEOUT_S = 30.0
"""Longer than a gateway waits for a worker that does not answer."""
_TIMES = frozenset({"issued_before", "expires_at", "made_at"})
_USER_PARTS = 3
_TOKEN_PARTS = 3


def revoke(
    credential_file: Annotated[Path, typer.Option(help="A file with a token that Cedar allows ops:revoke.")],
    token_file: Annotated[Path | None, typer.Option(help="Revoke the token in this file, until it expires.")] = None,
    user: Annotated[str | None, typer.Option(help="Revoke a user's tokens: ISSUER/TENANT/SUB.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Revoke a tenant's tokens.")] = None,
    issued_before: Annotated[
        str | None, typer.Option(help="Of a user or tenant, those issued before this: RFC 3339.", show_default="now")
    ] = None,
    url: Annotated[str | None, typer.Option(help="The operations port.", show_default="of the configuration")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a token, or a user's or tenant's tokens; in force when this returns.

    Neither token is sent but the credential: a token is named by its digest.
    """
    body = _body(token_file, user, tenant, issued_before)
    entry, code = _asked(url or _configured(config), _read(credential_file), body)
    if as_json:
        print_json(entry)
    else:
        rows = [{"": name, " ": _text(name, value)} for name, value in entry.items()]
        print_rows("revoked" if code == ExitCode.SUCCESS else "refused", rows, as_json=False)
    if code != ExitCode.SUCCESS:
        typer.echo("not revoked; the gateway's record of this trace says why", err=True)
    raise typer.Exit(code)


def _body(token_file: Path | None, user: str | None, tenant: str | None, issued_before: str | None) -> dict[str, Any]:
    """What the gateway is asked."""
    if sum(given is not None for given in (token_file, user, tenant)) != 1:
        raise LychgateError("give one of --token-file, --user and --tenant")
    if token_file is not None:
        if issued_before is not None:
            raise LychgateError("--issued-before belongs to --user or --tenant: a token is revoked whole")
        return named(_read(token_file), str(token_file))
    body: dict[str, Any] = {"tenant": tenant}
    if user is not None:
        parts = user.split("/", _USER_PARTS - 1)
        if len(parts) < _USER_PARTS:
            raise LychgateError("--user is ISSUER/TENANT/SUB")
        body = {"user": dict(zip(("issuer", "tenant", "sub"), parts, strict=True))}
    if issued_before is not None:
        body["issued_before"] = _seconds(issued_before)
    return body


def named(token: str, place: str) -> dict[str, Any]:
    """How a token is named: by the SHA-256 of what its signature covers, until its `exp`.

    Raises:
        LychgateError: It is not a token with an `exp`.
    """
    signed, _, _ = token.rpartition(".")
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expires_at = claims["exp"]
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        raise LychgateError(f"{place}: not a token with an exp") from None
    if token.count(".") != _TOKEN_PARTS - 1 or isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
        raise LychgateError(f"{place}: not a token with an exp")
    return {"token_sha256": hashlib.sha256(signed.encode()).hexdigest(), "expires_at": expires_at}


def _asked(url: str, credential: str, body: dict[str, Any]) -> tuple[dict[str, Any], ExitCode]:
    """The gateway's answer."""
    import httpx

    try:
        answer = httpx.post(
            f"{url.rstrip('/')}/revocations",
            json=body,
            headers={"authorization": f"Bearer {credential}"},
            timeout=_TIMEOUT_S,
            trust_env=False,
        )
        entry = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as exc:
        raise LychgateError(f"{url}: cannot be asked: {type(exc).__name__}; nothing is known to be revoked") from None
    if not isinstance(entry, dict):
        raise LychgateError(f"{url}: not a gateway's operations port")
    return entry, ExitCode.SUCCESS if answer.is_success else ExitCode.FINDING


def _text(name: str, value: object) -> str:
    """A value for people: what is a time is written as one."""
    if name in _TIMES and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds")
    return "-" if value is None else str(value)


def _configured(config: Path | None) -> str:
    from lychgate.settings import load

    ops = load(config).ops
    return f"http://{ops.host}:{ops.port}"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        raise LychgateError(f"{file}: not a token") from None
    except OSError as exc:
        raise LychgateError(f"{file}: cannot be read: {exc.strerror}") from exc


def _seconds(text: str) -> float:
    """RFC 3339 with an offset, as seconds since the epoch."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise LychgateError("--issued-before is not an RFC 3339 time") from None
    if found.tzinfo is None:
        raise LychgateError("--issued-before needs an offset, as in 2026-11-25T08:00:00Z")
    return found.timestamp()


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        epilog=example(
            "lychgate token revoke --credential-file root.token --token-file stolen.token",
            "lychgate token revoke --credential-file root.token --user main/acme/u-17",
        )
    )(revoke)
