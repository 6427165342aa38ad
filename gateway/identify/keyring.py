"""Every trusted issuer with its current keys: the part of a snapshot that `bearer` reads.

Pure and immutable; built whole from configuration and what was fetched, and swapped with its snapshot.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from gateway.identify.algorithms import ALGORITHMS, Verify
from gateway.identify.claims import Trust, trust
from gateway.identify.jws import Jws
from gateway.identify.keyset import KeyFinding, KeySet, KeySetRefused, read_key_set
from gateway.identify.refusal import Reason, TokenRefused, UnknownKey
from gateway.sources import IssuerKeys, IssuerSource
from policies.model import Json
from roles.model import NO_TENANT

_NO_KEYS = KeySet((), ())


@dataclass(frozen=True, slots=True)
class Check:
    """A key for one algorithm.

    Attributes:
        ref: The key, as `Identity.kid_ref` names it.
        verify: Whether it made a signature.
    """

    ref: str
    verify: Verify


class Issuer:
    """One trusted issuer and its current keys, indexed as tokens ask for them.

    Attributes:
        trusted: How far it is believed.
        key_set: Its keys.
    """

    __slots__ = ("_algorithms", "_by_name", "_kids", "_unnamed", "key_set", "trusted")

    def __init__(self, trusted: Trust, key_set: KeySet) -> None:
        self.trusted = trusted
        self.key_set = key_set
        self._algorithms = frozenset(trusted.source.algorithms)
        self._by_name: dict[tuple[str, str], Check] = {}
        self._unnamed: dict[str, list[Check]] = {}
        self._kids = frozenset(key.kid for key in key_set.keys)
        for key in key_set.keys:
            for alg, verify in key.verifiers.items():
                check = Check(key.ref, verify)
                self._unnamed.setdefault(alg, []).append(check)
                if key.kid is not None:
                    self._by_name[key.kid, alg] = check

    def check_for(self, jws: Jws) -> Check:
        """The one key a token may be verified with; keys are never tried in turn.

        Raises:
            TokenRefused: `algorithm`, or `unknown_key`, which a fetch may mend.
        """
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

    def __init__(self, issuers: Sequence[Issuer], findings: tuple[KeyFinding, ...]) -> None:
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
        built: list[Issuer] = []
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
            built.append(Issuer(trust(source, others), key_set))
        return cls(built, tuple(findings))

    def __repr__(self) -> str:
        return f"Keyring({len(self._by_iss)} issuers, {len(self.key_refs)} keys, waiting for {list(self.waiting_for)})"

    def trust_of(self, name: str) -> Trust | None:
        """How far the issuer of a configured name is believed; None where there is none."""
        return next((one.trusted for one in self._by_iss.values() if one.trusted.source.name == name), None)

    def issuer_of(self, claims: Mapping[str, Json] | None) -> Issuer:
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
