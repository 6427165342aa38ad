"""The keys security contexts are signed and verified with.

Either the gateway has a key pair and services its public half (`EdDSA`, `ES256`), or each service shares one secret
with the gateway (`HS256`). The two never mix: a verifier holds public keys or a secret, and which of them it holds says
which algorithms it accepts. What a token's header says is only compared with that.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeAlias

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, import_key

from roles.errors import ContextUnusable

Alg: TypeAlias = Literal["EdDSA", "ES256", "HS256"]
VerificationKey: TypeAlias = OKPKey | ECKey | OctKey

# RFC 7518 s3.2: a key of at least the size of the hash output.
_SECRET_BYTES: Final = 32


def new_private_jwk(alg: Alg = "EdDSA") -> str:
    """A new key as JWK JSON, with `kid` (its RFC 7638 thumbprint), `use` and `alg`."""
    key: VerificationKey
    if alg == "EdDSA":
        key = OKPKey.generate_key("Ed25519")
    elif alg == "ES256":
        key = ECKey.generate_key("P-256")
    else:
        key = OctKey.generate_key(_SECRET_BYTES * 8)
    return json.dumps({**key.as_dict(private=True), "kid": key.thumbprint(), "use": "sig", "alg": alg})


def parse_jwk(
    jwk: str | Mapping[str, object], operation: Literal["sign", "verify"] = "verify"
) -> tuple[VerificationKey, Alg]:
    """A key and the one algorithm it is for.

    Args:
        jwk: As JSON text or already decoded; private, public or secret.
        operation: What it is to do; a key whose `use` or `key_ops` forbid it is refused.

    Returns:
        The key, with a `kid`, and its algorithm.

    Raises:
        ContextUnusable: Not a key, or one that contexts are not signed with. The message has nothing of the key.
    """
    try:
        decoded = json.loads(jwk) if isinstance(jwk, str) else dict(jwk)
        if not isinstance(decoded, dict):
            raise ContextUnusable("not a JWK: a JSON object is expected")
        key = import_key(decoded)
        key.check_use("sig")
        key.check_key_op(operation)
    except (ValueError, TypeError, LookupError, RecursionError, JoseError) as exc:  # from None: the cause may quote it
        raise ContextUnusable(f"not a usable JWK ({type(exc).__name__})") from None
    alg = _algorithm(key)
    if alg is None or key.alg not in {None, alg}:
        raise ContextUnusable(f"a context is not signed with a key of type {key.key_type}, curve or algorithm as given")
    key.ensure_kid()
    if isinstance(key, OKPKey | ECKey | OctKey):
        return key, alg
    raise ContextUnusable(f"a context is not signed with a key of type {key.key_type}")


def _algorithm(key: object) -> Alg | None:
    if isinstance(key, OKPKey) and key.curve_name == "Ed25519":
        return "EdDSA"
    if isinstance(key, ECKey) and key.curve_name == "P-256":
        return "ES256"
    if isinstance(key, OctKey) and len(key.raw_value) >= _SECRET_BYTES:
        return "HS256"
    return None


class TrustedKeys:
    """What a service believes: the gateway's public keys, or the one secret it shares with it.

    Each key is for one algorithm, and no others are accepted.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[str, tuple[VerificationKey, Alg]]) -> None:
        self._keys = dict(keys)

    def __repr__(self) -> str:
        """Without keys: a repr ends up in logs."""
        return f"TrustedKeys({', '.join(sorted(self._keys))})"

    @classmethod
    def from_jwks(cls, jwks: str | bytes | Mapping[str, object]) -> "TrustedKeys":
        """Public keys, from what the gateway serves at `/.well-known/jwks.json`.

        Raises:
            ContextUnusable: Not a key set, without a usable key, or with a secret in it: a secret that anyone can
                fetch is none, and beside public keys it would open the door to signing with what is published.
        """
        try:
            decoded = json.loads(jwks) if isinstance(jwks, str | bytes) else dict(jwks)
            entries = decoded["keys"]
        except (ValueError, TypeError, LookupError, RecursionError) as exc:
            raise ContextUnusable(f"not a JWKS ({type(exc).__name__})") from exc
        if not isinstance(entries, list) or not entries:
            raise ContextUnusable("a JWKS without keys")
        keys: dict[str, tuple[VerificationKey, Alg]] = {}
        for entry in entries:
            key, alg = parse_jwk(entry)
            if alg == "HS256":
                raise ContextUnusable("a secret in a JWKS")
            keys[str(key.kid)] = (key, alg)
        return cls(keys)

    @classmethod
    def from_secret(cls, jwk: str | Mapping[str, object]) -> "TrustedKeys":
        """The one secret a service shares with the gateway.

        Raises:
            ContextUnusable: Not an `oct` key of at least 256 bits.
        """
        return cls.from_secrets([jwk])

    @classmethod
    def from_secrets(cls, jwks: Iterable[str | Mapping[str, object]]) -> "TrustedKeys":
        """The secrets a service shares with the gateway while one follows another.

        Raises:
            ContextUnusable: One is not an `oct` key of at least 256 bits, or there is none.
        """
        keys: dict[str, tuple[VerificationKey, Alg]] = {}
        for jwk in jwks:
            key, alg = parse_jwk(jwk)
            if alg != "HS256":
                raise ContextUnusable("an `oct` key is expected here")
            keys[str(key.kid)] = (key, alg)
        if not keys:
            raise ContextUnusable("no secret")
        return cls(keys)

    def get(self, kid: str) -> tuple[VerificationKey, Alg] | None:
        """The key of this id and its algorithm, or None."""
        return self._keys.get(kid)
