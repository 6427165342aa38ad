"""Keys of every kind and tokens signed with them, right by default and wrong on request.

Keys are made once a process: a fresh RSA key costs as much as a thousand signatures.
"""

import base64
import functools
import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.identify.keyring import Keyring
from gateway.sources import IssuerKeys, IssuerSource
from roles.catalogue import Catalogue
from roles.load import load_catalogue

NOW = 1_795_000_000.0
"""When these tokens are made and read: no test looks at a clock."""

ISS = "https://id.example"
ISSUER = "partner"
AUDIENCE = "lychgate"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}

ROLES = """
[[role]]
name = "Nobody"
description = "No credential."
offered = false
anonymous = true
[[role]]
name = "Clerk"
description = "Least."
[[role]]
name = "Boss"
description = "More."
includes = ["Clerk"]
[[role]]
name = "Robot"
description = "A machine."
offered = false
machine = true
[[role]]
name = "Root"
description = "Crosses tenants."
offered = false
cross_tenant = true
[foreign]
shop_agent = "Clerk"
"""


@dataclass(frozen=True)
class SigningKey:
    """A private key and the algorithm it signs with."""

    alg: str
    kid: str | None
    key: RSAKey | ECKey | OKPKey

    def public(self, **members: object) -> dict[str, Any]:
        """Its JWK as an issuer publishes it; `members` come on top, None takes one away."""
        jwk: dict[str, Any] = {**self.key.as_dict(private=False), "use": "sig", "alg": self.alg, "kid": self.kid}
        return {name: value for name, value in {**jwk, **members}.items() if value is not None}

    def private(self) -> dict[str, Any]:
        """Its whole JWK, which nobody should publish."""
        return {**self.public(), **self.key.as_dict(private=True)}


@functools.cache
def signing_key(alg: str = "ES256", kid: str | None = "k1", which: int = 0) -> SigningKey:
    """The same key for the same arguments; `which` makes another of the kind."""
    if alg == "EdDSA":
        return SigningKey(alg, kid, OKPKey.generate_key("Ed25519"))
    if alg in _CURVES:
        return SigningKey(alg, kid, ECKey.generate_key(_CURVES[alg]))
    return SigningKey(alg, kid, RSAKey.generate_key(2048))


def claims(**changes: Any) -> dict[str, Any]:
    """A cashier-like caller of `acme`, valid for five minutes around `NOW`; None takes a claim away."""
    good: dict[str, Any] = {
        "iss": ISS,
        "aud": AUDIENCE,
        "sub": "u-17",
        "tenant_id": "acme",
        "roles": ["Clerk"],
        "iat": int(NOW) - 10,
        "exp": int(NOW) + 300,
        "jti": "t-1",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def encode(raw: bytes) -> bytes:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def sign(key: SigningKey, payload: bytes, header: Mapping[str, Any] | bytes | None = None) -> bytes:
    """Sign any payload under any header, however wrong, with the key's own algorithm."""
    if not isinstance(header, bytes):
        header = json.dumps({"alg": key.alg, **({"kid": key.kid} if key.kid else {}), **(header or {})}).encode()
    signed = encode(header) + b"." + encode(payload)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc calls EdDSA deprecated on every use
        model = jws.JWSRegistry(algorithms=[key.alg]).get_alg(key.alg)
        return signed + b"." + encode(model.sign(signed, key.key))


def mint(key: SigningKey | None = None, header: Mapping[str, Any] | None = None, **changes: Any) -> bytes:
    """A token with `claims(**changes)`, signed by `key` (ES256 unless given)."""
    return sign(key or signing_key(), json.dumps(claims(**changes)).encode(), header)


def bearer(token: bytes) -> bytes:
    """The `Authorization` value that carries it."""
    return b"Bearer " + token


def source(**changes: Any) -> IssuerSource:
    """The trusted issuer of these tokens."""
    good: dict[str, Any] = {"name": ISSUER, "iss": ISS, "audiences": (AUDIENCE,), "algorithms": ALGORITHMS}
    return IssuerSource(**{**good, **changes})


def jwks(*keys: Mapping[str, Any]) -> str:
    """A JWK Set of these JWKs."""
    return json.dumps({"keys": list(keys)})


def keyring(keys: Sequence[SigningKey] | None = None, **changes: Any) -> Keyring:
    """One issuer, `source(**changes)`, that publishes these keys (ES256 unless given)."""
    published = jwks(*(key.public() for key in ([signing_key()] if keys is None else keys)))
    trusted = source(**changes)
    return Keyring.build([trusted], [IssuerKeys(trusted.name, published)])


@functools.cache
def catalogue() -> Catalogue:
    """Five roles with telling flags and one foreign name; none of ours, so that no test leans on the real ones."""
    return load_catalogue(ROLES, "roles.toml")


def sha256(token: bytes) -> bytes:
    """As `Identity.token_sha256`."""
    return hashlib.sha256(token).digest()
