"""What is revoked: the entries that travel and are kept, and the index that every request is held against.

An entry names a token, a user or a tenant, and has a state (in force or lifted) with a version. Two states of one entry
join to one, in any order and however often, so gateways of a fleet that tell each other what they know end up with the
same. Pure; a worker carries this module.
"""

import hashlib
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec

from gateway.errors import Unready
from gateway.model import Identity
from roles.model import is_tenant

_Key = TypeVar("_Key")
Kind: TypeAlias = Literal["token", "jti", "user", "tenant"]

TEXT_BYTES: Final = 256
"""The longest `jti` or `sub` that a token may have (`gateway.identify.claims`)."""
LIFTED_KEPT_S: Final = 30 * 86_400.0
"""How long it is remembered that an entry was lifted: a gateway that was away for longer brings the entry back."""


class Revocation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry, in the form that stands on disk, in Redis and on the control pipe.

    Attributes:
        kind: What is named: `token` by `token_sha256`, `jti` by issuer and id, `user`, or `tenant`.
        token_sha256: 64 hex digits, of what the token's signature covers: its text up to the second dot.
        issuer: The issuer's configured name.
        jti: The token's id, which is unique for its issuer only.
        tenant_id: The tenant.
        sub: The user's `sub`.
        issued_before: Tokens of the user or tenant with an `iat` before this, or without one, are revoked; seconds.
        expires_at: The named token's `exp`, and how late it may be believed; seconds.
        version: Rises with each change of this entry.
        lifted: Whether it is no longer in force.
        made_at: When it was changed last, by the clock of the gateway that was told, seconds.
        made_by: Who told it: `<issuer>/<tenant>/<sub>`.
    """

    kind: Kind
    token_sha256: str = ""
    issuer: str = ""
    jti: str = ""
    tenant_id: str = ""
    sub: str = ""
    issued_before: float = 0.0
    expires_at: float = 0.0
    version: int = 1
    lifted: bool = False
    made_at: float = 0.0
    made_by: str = ""

    @property
    def id(self) -> str:
        """32 hex digits that follow from what is named, so that naming it twice is one entry."""
        named = msgspec.json.encode((self.kind, self.token_sha256, self.issuer, self.jti, self.tenant_id, self.sub))
        return hashlib.sha256(named).hexdigest()[:32]

    def over(self, now: float) -> bool:
        """Whether nothing can come of it any more."""
        if self.kind in {"token", "jti"}:
            return now >= self.expires_at
        return self.lifted and now >= self.made_at + LIFTED_KEPT_S


def joined(one: Revocation, other: Revocation) -> Revocation:
    """What two states of the same entry come to; the stricter where neither is newer.

    Args:
        one: A state.
        other: Of the entry with the same id.
    """
    newer, older = (one, other) if _rank(one) >= _rank(other) else (other, one)
    if newer.lifted or older.lifted:
        return newer
    # INVARIANT: of two gateways that revoke at the same time neither weakens what the other was told.
    return msgspec.structs.replace(
        newer,
        issued_before=max(one.issued_before, other.issued_before),
        expires_at=max(one.expires_at, other.expires_at),
        made_at=max(one.made_at, other.made_at),
    )


def _rank(entry: Revocation) -> tuple[int, bool, float, float, float, str]:
    """Which of two states is the newer, and the stricter of equally new ones; no two different states are equal."""
    return (entry.version, not entry.lifted, entry.issued_before, entry.expires_at, entry.made_at, entry.made_by)


def is_sound(entry: Revocation) -> bool:
    """Whether an entry that was read from somewhere names exactly what its kind says, within bounds."""
    texts = (entry.issuer, entry.jti, entry.tenant_id, entry.sub, entry.made_by)
    if any(len(text) > 4 * TEXT_BYTES for text in texts) or entry.version < 1:
        return False
    named = tuple(map(bool, (entry.token_sha256, entry.issuer, entry.jti, entry.tenant_id, entry.sub)))
    if named != _NAMED[entry.kind] or (entry.tenant_id and not is_tenant(entry.tenant_id)):
        return False
    return entry.kind != "token" or is_digest(entry.token_sha256)


_NAMED: Final[dict[str, tuple[bool, ...]]] = {
    "token": (True, False, False, False, False),
    "jti": (False, True, True, False, False),
    "user": (False, True, False, True, True),
    "tenant": (False, False, False, True, False),
}


def is_digest(text: str) -> bool:
    """Whether this is a SHA-256 in hex, lower case."""
    return len(text) == 64 and all(character in "0123456789abcdef" for character in text)  # noqa: PLR2004 - SHA-256 in hex


class Revocations:
    """Every entry in force, by what a credential is asked for. One a process: it outlives snapshots.

    Nothing that was remembered is thrown away for a revocation: whoever finds an identity in a memory asks here before
    believing it, so an entry is in force for everything at once, and for nobody else.

    Attributes:
        active: Whether anything can be refused at all; looked at first, as nearly always nothing can.
        stale: Whether the fleet's entries may be missing and the configuration refuses to go on without
            (`revocation.on_loss: refuse`).
    """

    __slots__ = ("_jtis", "_stale", "_tenants", "_tokens", "_users", "active")

    def __init__(self) -> None:
        self._tokens: set[bytes] = set()
        self._jtis: set[tuple[str, str]] = set()
        # To the time that tokens must have been issued at, and when this process was told.
        self._users: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
        self._tenants: dict[str, tuple[float, float]] = {}
        self._stale = False
        self.active = False

    def __repr__(self) -> str:
        return f"Revocations({len(self)}{', stale' if self._stale else ''})"

    def __len__(self) -> int:
        users = sum(map(len, self._users.values()))
        return len(self._tokens) + len(self._jtis) + users + len(self._tenants)

    @property
    def stale(self) -> bool:
        """See above."""
        return self._stale

    @stale.setter
    def stale(self, stale: bool) -> None:
        self._stale = stale
        self._weigh()

    def apply(self, entries: Iterable[Revocation], now: float, *, kept: bool = False) -> None:
        """Take entries in, or out where they are lifted or over.

        Args:
            entries: Their newest states.
            now: Seconds since the epoch.
            kept: Whether they were in force before this process began, and not from now on.
        """
        for entry in entries:
            out = entry.lifted or entry.over(now)
            times = (entry.issued_before, entry.made_at if kept else now)
            match entry.kind:
                case "token":
                    _keep(self._tokens, bytes.fromhex(entry.token_sha256), out=out)
                case "jti":
                    _keep(self._jtis, (entry.issuer, entry.jti), out=out)
                case "user":
                    tenants = self._users.setdefault((entry.issuer, entry.sub), {})
                    _set(tenants, entry.tenant_id, None if out else times)
                    if not tenants:
                        del self._users[entry.issuer, entry.sub]
                case "tenant":
                    _set(self._tenants, entry.tenant_id, None if out else times)
        self._weigh()

    def refuses(self, identity: Identity) -> bool:
        """Whether a credential that held is revoked."""
        principal = identity.principal
        if identity.token_sha256 in self._tokens:
            return True
        if self._jtis and identity.jti is not None and (principal.issuer, identity.jti) in self._jtis:
            return True
        if self._tenants and (times := self._tenants.get(principal.tenant_id)) and identity.issued_at < times[0]:
            return True
        if self._users and (tenants := self._users.get((principal.issuer, principal.sub))):
            times = tenants.get(principal.tenant_id)
            return times is not None and identity.issued_at < times[0]
        return False

    def blocks(self, identity: Identity) -> bool:
        """Whether this caller must not be believed from memory: revoked, or nobody can say whether revoked."""
        return (self._stale and bool(identity.token_sha256)) or self.refuses(identity)

    def refuses_context(self, issuer: str, sub: str, tenants: Iterable[str], iat: float) -> bool:
        """Whether a security context speaks for somebody who is revoked.

        It says neither which token it was made for nor, where its caller crossed, which tenant they came from. So one
        that was signed before this process heard of the revocation is refused as well, whatever the token's `iat`, and
        a revoked user is one in every tenant.

        Args:
            issuer: The configured name of its caller's issuer.
            sub: The caller.
            tenants: Where they may have come from.
            iat: When it was signed, seconds since the epoch.
        """
        named = [*self._users.get((issuer, sub), {}).values()]
        named += [self._tenants[tenant] for tenant in tenants if tenant in self._tenants]
        return any(iat < max(times) for times in named)

    def check_fresh(self) -> None:
        """Refuse to judge credentials while entries of the fleet may be missing.

        Raises:
            Unready: They may, and the configuration says `refuse`.
        """
        if self._stale:
            raise Unready("revocations: the fleet's are out of reach")

    def _weigh(self) -> None:
        self.active = self._stale or bool(self._tokens or self._jtis or self._users or self._tenants)


def _keep(kept: set[_Key], key: _Key, *, out: bool) -> None:
    (kept.discard if out else kept.add)(key)


def _set(kept: dict[_Key, tuple[float, float]], key: _Key, times: tuple[float, float] | None) -> None:
    if times is None:
        kept.pop(key, None)
        return
    known = kept.get(key)
    # Told again of the same thing: what was signed since is not refused anew.
    kept[key] = known if known is not None and known[0] == times[0] else times
