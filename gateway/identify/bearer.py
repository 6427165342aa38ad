"""The stage itself: an `Authorization` field and a key snapshot in, an `Identity` out.

Pure. RFC 8725 is the checklist: s2.1 and s3.1 algorithms come from configuration and are pinned by key, s3.2 and s3.5
keys are strong or not used, s3.3 every signature is checked, s3.4 points are on their curve, s3.7 text is UTF-8 and
names are distinct, s3.8 issuer and key belong together, s3.9 audience, s3.10 nothing in a header leads to a key,
s3.11 types. (s2.4, s3.6 are about compression and encryption, of which there is none.)
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from gateway.identify.algorithms import ALGORITHMS, Verify
from gateway.identify.claims import Trust, identity, trust
from gateway.identify.jws import MAX_CONTAINERS, Jws, bearer_token, read
from gateway.identify.keyset import KeyFinding, KeySet, KeySetRefused, read_key_set
from gateway.identify.memo import TokenMemo
from gateway.identify.refusal import Reason, TokenRefused, UnknownKey
from gateway.identify.strict_json import NotAnObject, parse_object
from gateway.model import Identity
from gateway.sources import IssuerKeys, IssuerSource
from policies.model import Json
from roles.catalogue import Catalogue
from roles.model import Principal

NO_TENANT = "-"
_NO_KEYS = KeySet((), ())


@dataclass(frozen=True, slots=True)
class _Check:
    """A key for one algorithm."""

    ref: str
    verify: Verify


class _Issuer:
    """One trusted issuer and its current keys, indexed as tokens ask for them."""

    __slots__ = ("_algorithms", "_by_name", "_kids", "_unnamed", "key_set", "trusted")

    def __init__(self, trusted: Trust, key_set: KeySet) -> None:
        self.trusted = trusted
        self.key_set = key_set
        self._algorithms = frozenset(trusted.source.algorithms)
        self._by_name: dict[tuple[str, str], _Check] = {}
        self._unnamed: dict[str, list[_Check]] = {}
        self._kids = frozenset(key.kid for key in key_set.keys)
        for key in key_set.keys:
            for alg, verify in key.verifiers.items():
                check = _Check(key.ref, verify)
                self._unnamed.setdefault(alg, []).append(check)
                if key.kid is not None:
                    self._by_name[key.kid, alg] = check

    def check_for(self, jws: Jws) -> _Check:
        """The one key a token may be verified with; keys are never tried in turn."""
        if jws.alg not in self._algorithms:
            raise TokenRefused(Reason.ALGORITHM)
        if jws.kid is not None:
            check = self._by_name.get((jws.kid, jws.alg))
            if check is not None:
                return check
            if jws.kid in self._kids:
                raise TokenRefused(Reason.ALGORITHM)
        else:
            # A token that names no key is for the set's only key of its algorithm. RFC 7515 s6 leaves it to us.
            fitting = self._unnamed.get(jws.alg, [])
            if len(fitting) == 1:
                return fitting[0]
        raise TokenRefused(Reason.UNKNOWN_KEY, unknown_key=UnknownKey(self.trusted.source.name, jws.kid))


class Keyring:
    """Every trusted issuer with its keys: the part of a snapshot that `identify` reads. Immutable.

    Attributes:
        findings: Keys and sets that are not used, and why.
        key_refs: Every usable key, as `Identity.kid_ref` names it.
        waiting_for: Names of issuers that have no usable key, so that none of their tokens can hold.
    """

    __slots__ = ("_by_iss", "_sole", "findings", "key_refs", "waiting_for")

    def __init__(self, issuers: Sequence[_Issuer], findings: tuple[KeyFinding, ...]) -> None:
        self._by_iss = {issuer.trusted.source.iss: issuer for issuer in issuers}
        self._sole = issuers[0] if len(issuers) == 1 else None
        self.findings = findings
        self.key_refs = frozenset(key.ref for issuer in issuers for key in issuer.key_set.keys)
        self.waiting_for = tuple(issuer.trusted.source.name for issuer in issuers if not issuer.key_set.keys)

    @classmethod
    def build(cls, issuers: Sequence[IssuerSource], keys: Iterable[IssuerKeys]) -> Self:
        """Build from configuration and what was fetched.

        Args:
            issuers: Each trusted issuer.
            keys: The last good set of each; one that is missing or refused leaves its issuer without keys.

        Raises:
            ValueError: Two issuers with one name or `iss`, a name that could forge another's principals, or an
                algorithm that does not exist here. The supervisor's settings refuse these earlier and with a place.
        """
        _check_sources(issuers)
        published = {item.issuer: item.jwks for item in keys}
        built: list[_Issuer] = []
        findings: list[KeyFinding] = []
        for source in issuers:
            key_set = _NO_KEYS
            if source.name in published:
                try:
                    key_set = read_key_set(published[source.name], source.name)
                except KeySetRefused as exc:
                    findings.append(KeyFinding(source.name, "*", "refused", str(exc)))
            findings.extend(key_set.findings)
            others = [other for other in issuers if other is not source]
            built.append(_Issuer(trust(source, others), key_set))
        return cls(built, tuple(findings))

    def __repr__(self) -> str:
        return f"Keyring({len(self._by_iss)} issuers, {len(self.key_refs)} keys, waiting for {list(self.waiting_for)})"

    def issuer_of(self, claims: Mapping[str, Json] | None) -> _Issuer:
        """Whose keys a token is to be held against. The claim only chooses; it is believed after the signature.

        Args:
            claims: The unverified payload; None where it is not an object. Where one issuer is trusted, nobody else
                can have signed, so its signature is checked even for a payload that names no issuer.

        Raises:
            TokenRefused: `issuer`, or `malformed` when an unreadable payload leaves a choice.
        """
        iss = None if claims is None else claims.get("iss")
        if isinstance(iss, str):
            issuer = self._by_iss.get(iss)
            if issuer is None:
                raise TokenRefused(Reason.ISSUER)
            return issuer
        if self._sole is not None:
            return self._sole
        raise TokenRefused(Reason.MALFORMED if claims is None else Reason.ISSUER)


def identify(
    authorization: bytes, keyring: Keyring, catalogue: Catalogue, now: float, memo: TokenMemo | None = None
) -> Identity:
    """Say who asks.

    Args:
        authorization: The value of the request's only `Authorization` field; empty when there is none.
        keyring: Issuers and keys.
        catalogue: What role names mean.
        now: Seconds since the epoch.
        memo: What was verified before under this keyring and this catalogue, asked and added to.

    Raises:
        TokenRefused: A `NotIdentified` with the fixed word, and with what else the record or the supervisor needs.
    """
    token = bearer_token(authorization)
    digest = hashlib.sha256(token).digest()
    if memo is not None and (known := memo.get(digest, now)) is not None:
        return known
    jws = read(token)
    claims = _claims(jws.payload)
    issuer = keyring.issuer_of(claims)
    check = issuer.check_for(jws)
    if not check.verify(jws.signature, jws.signed):
        raise TokenRefused(Reason.SIGNATURE)
    if claims is None:
        raise TokenRefused(Reason.CLAIMS)
    found = identity(claims, issuer.trusted, catalogue, now, token_sha256=digest, kid_ref=check.ref)
    if memo is not None:
        memo.put(found)
    return found


def anonymous(catalogue: Catalogue) -> Identity:
    """The caller without a credential, for routes that put such a caller to Cedar. The same every time."""
    return Identity(Principal(NO_TENANT, NO_TENANT, "anonymous", (catalogue.anonymous,)), "anonymous")


def _claims(payload: bytes) -> dict[str, Json] | None:
    try:
        return parse_object(payload, MAX_CONTAINERS)
    except NotAnObject:
        return None


def _check_sources(issuers: Sequence[IssuerSource]) -> None:
    names = {source.name for source in issuers}
    if len(names) != len(issuers) or len({source.iss for source in issuers}) != len(issuers):
        raise ValueError("two issuers with one name or one iss")
    for source in issuers:
        # INVARIANT: `<issuer>/<tenant>/<sub>` can be read in one way only
        if not source.name or "/" in source.name or source.name == NO_TENANT:
            raise ValueError(f"issuer name `{source.name}` cannot stand in a principal's id")
        if unknown := set(source.algorithms) - ALGORITHMS:
            raise ValueError(f"issuer `{source.name}`: no such algorithm here: {', '.join(sorted(unknown))}")
