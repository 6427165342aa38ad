"""A published JWKS as text in, keys ready to verify with out; what cannot be used is named, what is dangerous refused.

RFC 7517 s5 lets a reader ignore keys it does not understand, so one odd key does not lock an issuer's users out. A set
that gives a secret away is another matter: it is refused whole, and the last good one stays.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.identify.algorithms import ALGORITHMS, PublicKey, Verify, verifiers
from gateway.identify.jws import MAX_KID_CHARS
from gateway.identify.rsa_strength import rsa_weakness
from gateway.strict_json import NotStrictJson, parse_object

# Google publishes 2 keys, Entra 8; room for a tenant-by-tenant identity provider.
MAX_KEYS = 128
# A set with certificate chains spends 3 containers a key.
_MAX_CONTAINERS = 4 * MAX_KEYS
_PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")

Severity = Literal["ignored", "refused"]


class KeySetRefused(Exception):
    """A set of which nothing may be used; the message is a fixed sentence."""


class KeyFinding(msgspec.Struct, frozen=True, gc=False):
    """A key that will not be used, and why.

    Attributes:
        issuer: The issuer's configured name.
        kid: Its `kid`, or `#<position>`, or `*` for the whole set.
        severity: `ignored` for a key that is for something else, `refused` for one that is wrong.
        reason: A fixed sentence.
    """

    issuer: str
    kid: str
    severity: Severity
    reason: str


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key in the form in which it is used.

    Attributes:
        kid: As published; None without one.
        ref: `<issuer>#<RFC 7638 thumbprint>`. Of the key itself, not of its name: an issuer that puts another key
            under an old `kid` has withdrawn the old key, and what it vouched for must be forgotten.
        verifiers: Algorithm to check, narrowed by the key's own `alg`; never empty.
    """

    kid: str | None
    ref: str
    verifiers: dict[str, Verify]


@dataclass(frozen=True, slots=True)
class KeySet:
    """What one issuer's JWKS comes to.

    Attributes:
        keys: The usable keys, in published order.
        findings: The others.
    """

    keys: tuple[VerificationKey, ...]
    findings: tuple[KeyFinding, ...]


class _Jwk(msgspec.Struct, frozen=True, gc=False):
    """The members of RFC 7517 s4 and RFC 7518 s6 that matter here, by type; all others are ignored."""

    kty: str
    use: str | None = None
    key_ops: list[str] | None = None
    alg: str | None = None
    kid: str | None = None
    crv: str | None = None
    n: str | None = None
    e: str | None = None
    x: str | None = None
    y: str | None = None


class _Unusable(Exception):
    def __init__(self, severity: Severity, reason: str) -> None:
        super().__init__(reason)
        self.severity: Severity = severity
        self.reason = reason


def read_key_set(jwks: str, issuer: str) -> KeySet:
    """Read what an issuer published.

    Args:
        jwks: JSON text of a JWK Set. An empty set is an issuer's good right: it withdraws every key.
        issuer: The issuer's configured name, for references and findings.

    Returns:
        At least one key, or none at all because none was published.

    Raises:
        KeySetRefused: Not a JWK Set; more than `MAX_KEYS`; a symmetric or private key in it (whoever reads the set
            could sign); keys, but not one that can be used.
    """
    entries = _entries(jwks)
    keys: list[VerificationKey] = []
    findings: list[KeyFinding] = []
    for position, entry in enumerate(entries):
        try:
            keys.append(_verification_key(entry, issuer))
        except _Unusable as exc:
            kid = entry.get("kid") if isinstance(entry, dict) else None
            name = kid if isinstance(kid, str) and len(kid) <= MAX_KID_CHARS else f"#{position}"
            findings.append(KeyFinding(issuer, name, exc.severity, exc.reason))
    ambiguous = _ambiguous_kids(keys)
    findings += [KeyFinding(issuer, kid, "refused", "two keys under one kid and algorithm") for kid in ambiguous]
    usable = tuple(key for key in keys if key.kid not in ambiguous)
    if entries and not usable:
        raise KeySetRefused("no usable key: " + "; ".join(sorted({finding.reason for finding in findings})))
    return KeySet(usable, tuple(findings))


def _entries(jwks: str) -> list[object]:
    try:
        entries = parse_object(jwks.encode(), _MAX_CONTAINERS).get("keys")
    except (NotStrictJson, UnicodeEncodeError) as exc:
        raise KeySetRefused("not a JSON object") from exc
    if not isinstance(entries, list):
        raise KeySetRefused("no list of keys")
    if len(entries) > MAX_KEYS:
        raise KeySetRefused("too many keys")
    for entry in entries:
        if isinstance(entry, dict) and entry.get("kty") == "oct":
            raise KeySetRefused("a symmetric key in a published set")
        if isinstance(entry, dict) and any(member in entry for member in _PRIVATE_MEMBERS):
            raise KeySetRefused("a private key in a published set")
    return list(entries)


def _verification_key(entry: object, issuer: str) -> VerificationKey:
    try:
        jwk = msgspec.convert(entry, _Jwk)
    except msgspec.ValidationError as exc:
        raise _Unusable("refused", "a member of the wrong type") from exc
    if jwk.kid is not None and len(jwk.kid) > MAX_KID_CHARS:
        raise _Unusable("refused", "kid too long")
    if jwk.use not in {None, "sig"}:
        raise _Unusable("ignored", "use is not sig")
    if jwk.key_ops is not None and "verify" not in jwk.key_ops:
        raise _Unusable("ignored", "key_ops without verify")
    if jwk.alg is not None and jwk.alg not in ALGORITHMS:
        raise _Unusable("ignored", "unknown alg")
    key, thumbprint = _import(jwk)
    # The key's own alg pins it (RFC 8725 s3.1); one that does not fit its type or curve leaves nothing.
    checks = {alg: verify for alg, verify in verifiers(key).items() if jwk.alg in {None, alg}}
    if not checks:
        raise _Unusable("refused", "alg does not fit the key")
    return VerificationKey(jwk.kid, f"{issuer}#{thumbprint}", checks)


def _import(jwk: _Jwk) -> tuple[PublicKey, str]:
    """The key and its RFC 7638 thumbprint. joserfc checks the encoding, and that a point is on its curve."""
    members = msgspec.structs.asdict(jwk).items()
    public: dict[str, str | list[str]] = {name: value for name, value in members if value is not None}
    try:
        match jwk.kty, jwk.crv:
            case "RSA", _:
                if weakness := rsa_weakness(jwk.n or "", jwk.e or ""):
                    raise _Unusable("refused", weakness)
                rsa = RSAKey.import_key(public)
                return rsa.public_key, rsa.thumbprint()
            case "EC", ("P-256" | "P-384" | "P-521"):
                curve = ECKey.import_key(public)
                return curve.public_key, curve.thumbprint()
            case "OKP", ("Ed25519" | "Ed448" | "X25519" | "X448"):
                octets = OKPKey.import_key(public)
                if isinstance(octets.public_key, Ed25519PublicKey):
                    return octets.public_key, octets.thumbprint()
            case _:
                pass
    except (JoseError, ValueError) as exc:
        raise _Unusable("refused", "not a valid key") from exc
    raise _Unusable("ignored", "unknown kty or crv")


def _ambiguous_kids(keys: list[VerificationKey]) -> frozenset[str]:
    """Names that, with an algorithm, mean more than one key: trying each would let the set's order decide."""
    seen: set[tuple[str, str]] = set()
    twice: set[str] = set()
    for key in keys:
        if key.kid is None:
            continue
        for alg in key.verifiers:
            if (key.kid, alg) in seen:
                twice.add(key.kid)
            seen.add((key.kid, alg))
    return frozenset(twice)
