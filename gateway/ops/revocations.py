"""`/revocations` on the operations port: make, list and lift (DESIGN section 8).

Every change is asked of the policies as `ops:revoke`, and so is the list: it names users of all tenants. What is
answered 2xx is on disk and in force in every worker of this gateway; the fleet hears of it at the same time.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response

from gateway.case import Case
from gateway.errors import BadRequest, Code, NoRoute, Unready
from gateway.fleet.errors import NotKept, TooMany
from gateway.fleet.register import Made, Register
from gateway.identify.claims import is_id
from gateway.model import Identity
from gateway.ops import actions
from gateway.ops.answers import answer
from gateway.ops.guard import Guard, read_json
from gateway.revocations import Revocation, is_digest
from gateway.route.extract import parse_json
from gateway.sources import MAX_LEEWAY_S
from roles.model import is_tenant

AHEAD_S: Final = 60.0
"""How far ahead `issued_before` may lie: an issuer's clock may run ahead of ours."""
LONGEST_S: Final = 10 * 366 * 86_400.0
"""No token that is named expires later."""
_PAGE: Final = 200
_LARGEST_PAGE: Final = 1_000
_ID_CHARS: Final = 32


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user, as in the id of a principal."""

    issuer: str
    tenant: str
    sub: str


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /revocations`: one of four forms.

    Attributes:
        token_sha256: A token: SHA-256, in hex, of its text up to the second dot; with `expires_at`.
        jti: A token by its id; with `issuer` and `expires_at`.
        issuer: The issuer's configured name.
        expires_at: The token's `exp`.
        user: A user; with `issued_before`, which is now where it is not given.
        tenant: A tenant; the same.
        issued_before: Tokens with an earlier `iat`, or without one, are revoked.
    """

    token_sha256: str | None = None
    jti: str | None = None
    issuer: str | None = None
    expires_at: float | None = None
    user: User | None = None
    tenant: str | None = None
    issued_before: float | None = None


_FORMS: Final[Mapping[frozenset[str], str]] = {
    frozenset({"token_sha256", "expires_at"}): "token",
    frozenset({"jti", "issuer", "expires_at"}): "jti",
    frozenset({"user"}): "user",
    frozenset({"user", "issued_before"}): "user",
    frozenset({"tenant"}): "tenant",
    frozenset({"tenant", "issued_before"}): "tenant",
}


def add_revocations(
    app: FastAPI, guard: Guard, register: Register, issuers: Callable[[], Collection[str]], made: Callable[[], None]
) -> None:
    """Add the endpoints.

    Args:
        app: The operations port.
        guard: Stands before them.
        register: What is revoked.
        issuers: The configured names.
        made: Called for each change, to count it.
    """
    desk = _Desk(guard, register, issuers, made)
    app.add_api_route("/revocations", desk.revoke, methods=["POST"])
    app.add_api_route("/revocations", desk.listed, methods=["GET"])
    app.add_api_route("/revocations/{entry_id}", desk.lift, methods=["DELETE"])


class _Desk:
    def __init__(
        self, guard: Guard, register: Register, issuers: Callable[[], Collection[str]], made: Callable[[], None]
    ) -> None:
        self._guard = guard
        self._register = register
        self._issuers = issuers
        self._made = made

    async def revoke(self, request: Request) -> Response:
        details: dict[str, Any] = {}

        async def work(asked: Request, case: Case, caller: Identity) -> Response:
            raw = await read_json(asked)
            case.request_bytes = len(raw)
            entry = entry_of(raw, case.received_at, self._issuers())
            details["revocation"] = shown(entry)
            made = await self._changed(self._register.revoke(entry, _by(caller)))
            details["workers"] = made.workers
            return answer({**shown(made.entry), "workers": made.workers}, 201 if made.changed else 200)

        return await self._guard(request, actions.REVOKE, "revocations", work, details)

    async def lift(self, request: Request, entry_id: str) -> Response:
        details: dict[str, Any] = {}

        async def work(_: Request, __: Case, caller: Identity) -> Response:
            if len(entry_id) != _ID_CHARS or not entry_id.isalnum():
                raise NoRoute("revocation: not an id")
            lifted = self._register.lift(entry_id, _by(caller))
            made = await self._changed(lifted)
            details["lifted"] = shown(made.entry)
            details["workers"] = made.workers
            return answer({**shown(made.entry), "workers": made.workers})

        return await self._guard(request, actions.LIFT, "revocations", work, details)

    async def listed(self, request: Request) -> Response:
        async def work(asked: Request, case: Case, _: Identity) -> Response:
            after, limit = _page(asked)
            entries = self._register.entries
            now = case.received_at
            standing = (one for one, entry in entries.items() if not entry.lifted and not entry.over(now))
            ids = sorted(one for one in standing if one > after)
            more = len(ids) > limit
            page = ids[:limit]
            return answer(
                {
                    "data": [shown(entries[one]) for one in page],
                    "has_more": more,
                    "next_cursor": page[-1] if more else None,
                }
            )

        return await self._guard(request, actions.REVOCATIONS, "revocations", work)

    async def _changed(self, change: Any) -> Made:
        """What became of a change, or why it was not made."""
        try:
            made: Made | None = await change
        except NotKept as exc:
            raise Unready(str(exc)) from None
        except TooMany as exc:
            raise Unready(str(exc), code=Code.OVERLOADED) from None
        if made is None:
            raise NoRoute("revocation: not in force")
        self._made()
        return made


def entry_of(raw: bytes, now: float, issuers: Collection[str]) -> Revocation:
    """The entry that a body asks for.

    Args:
        raw: The body.
        now: Seconds since the epoch.
        issuers: The configured names.

    Raises:
        BadRequest: With the reason, without values.
    """
    document = parse_json(raw)
    try:
        asked = msgspec.convert(document, Asked)
    except msgspec.ValidationError as exc:
        raise BadRequest(f"revocation: {exc}") from None
    given = document if isinstance(document, dict) else {}
    form = _FORMS.get(frozenset(given))
    if form is None or None in given.values():
        raise BadRequest("revocation: give token_sha256 and expires_at; jti, issuer and expires_at; user; or tenant")
    if form in {"token", "jti"}:
        return _token(asked, form, now, issuers)
    before = now if asked.issued_before is None else asked.issued_before
    if not 0 < before <= now + AHEAD_S:
        raise BadRequest(f"revocation: issued_before lies over {AHEAD_S:.0f} s ahead, or is no time")
    if asked.user is None:
        if not is_tenant(asked.tenant):
            raise BadRequest("revocation: tenant is not a tenant's name")
        return Revocation(kind="tenant", tenant_id=asked.tenant, issued_before=before)
    user = asked.user
    _check_issuer(user.issuer, issuers)
    if not is_tenant(user.tenant) or not is_id(user.sub):
        raise BadRequest("revocation: user.tenant or user.sub cannot be in a token")
    return Revocation(kind="user", issuer=user.issuer, tenant_id=user.tenant, sub=user.sub, issued_before=before)


def shown(entry: Revocation) -> dict[str, Any]:
    """An entry as it is answered and recorded: what is set of it."""
    fields = msgspec.structs.asdict(entry)
    named = {name: fields[name] for name in _SHOWN if fields[name]}
    if entry.expires_at:
        named["expires_at"] -= MAX_LEEWAY_S
    return {"id": entry.id, **named}


_SHOWN: Final = (
    "kind", "token_sha256", "issuer", "jti", "tenant_id", "sub", "issued_before", "expires_at", "made_at", "made_by",
)  # fmt: skip


def _token(asked: Asked, form: str, now: float, issuers: Collection[str]) -> Revocation:
    expires_at = asked.expires_at or 0.0
    if not now < expires_at + MAX_LEEWAY_S:
        raise BadRequest("revocation: the token has expired")
    if not expires_at < now + LONGEST_S:
        raise BadRequest("revocation: expires_at lies too far ahead")
    until = expires_at + MAX_LEEWAY_S  # as late as any issuer's leeway lets it be believed
    if form == "token":
        digest = (asked.token_sha256 or "").lower()
        if not is_digest(digest):
            raise BadRequest("revocation: token_sha256 is not a SHA-256 in hex")
        return Revocation(kind="token", token_sha256=digest, expires_at=until)
    _check_issuer(asked.issuer or "", issuers)
    if not is_id(asked.jti):
        raise BadRequest("revocation: jti cannot be in a token")
    return Revocation(kind="jti", issuer=asked.issuer or "", jti=asked.jti, expires_at=until)


def _check_issuer(name: str, issuers: Collection[str]) -> None:
    """A name that nobody has would be a revocation that revokes nothing."""
    if name not in issuers:
        raise BadRequest("revocation: issuer is not the name of a configured issuer")


def _by(caller: Identity) -> str:
    principal = caller.principal
    return f"{principal.issuer}/{principal.tenant_id}/{principal.sub}"


def _page(request: Request) -> tuple[str, int]:
    """`after` and `limit` of a list."""
    given = request.query_params.multi_items()
    values = dict(given)
    if len(values) < len(given) or values.keys() - {"cursor", "limit"}:
        raise BadRequest("revocations: knows only cursor and limit, once each")
    limit = values.get("limit", str(_PAGE))
    if not limit.isascii() or not limit.isdecimal() or len(limit) > len(str(_LARGEST_PAGE)):
        raise BadRequest("revocations: limit is not a number")
    if not 1 <= int(limit) <= _LARGEST_PAGE:
        raise BadRequest(f"revocations: limit is not from 1 to {_LARGEST_PAGE}")
    return values.get("cursor", ""), int(limit)
