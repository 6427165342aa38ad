"""The development issuer's key, and tokens signed with it: what `lychgate token mint` and `lychgate up` hand out.

For one machine and for tests. Whoever may read the key file can be anyone, so it is its owner's alone; a gateway that
serves people trusts other issuers.
"""

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from gateway.identify.claims import is_id
from lychgate.clock import Clock, stamp
from lychgate.errors import LychgateError
from roles.model import is_tenant

ALGORITHM: Final = "ES256"
CURVE: Final = "P-256"
NAME: Final = "dev"
ISS: Final = "http://127.0.0.1:8084"
AUDIENCE: Final = "lychgate"
DEFAULT_TTL_S: Final = 8 * 3600
"""A working day: a token that is pasted into a terminal in the morning still works in the afternoon."""
MAX_TTL_S: Final = 30 * 24 * 3600

_KEY_FILE: Final = "key.jwk"

_log = structlog.get_logger(__name__)


class CannotMint(LychgateError):
    """The token asked for could never hold."""


@dataclass(frozen=True, slots=True)
class DevelopmentIssuer:
    """An issuer with one key.

    Attributes:
        key: The private key; never printed.
        iss: The `iss` claim, and where its key set is.
        audience: The `aud` claim.
        clock: The present time.
    """

    key: ECKey
    iss: str
    audience: str
    clock: Clock

    def __repr__(self) -> str:
        """Without the key: a repr ends up in logs."""
        return f"DevelopmentIssuer(iss={self.iss!r}, kid={self.key.kid!r})"

    @classmethod
    def open(cls, folder: Path, clock: Clock, *, iss: str = ISS, audience: str = AUDIENCE) -> Self:
        """Take the key from a folder, or make both.

        Two processes may do this at once and get the same key. A key file that cannot be used is set aside under a
        dated name, and said.

        Args:
            folder: `<state folder>/issuer`.
            clock: The present time.
            iss: The issuer's address.
            audience: Whom its tokens are for.

        Raises:
            CannotMint: The folder or the file cannot be read or written.
        """
        path = folder / _KEY_FILE
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _alone_in(folder):
                key = _stored_key(path, clock) or _new_key(path)
        except OSError as exc:
            raise CannotMint(f"the development issuer's key {path} cannot be used: {exc.strerror}") from exc
        return cls(key, iss, audience, clock)

    def jwks(self) -> Mapping[str, object]:
        """The key set as published: the public key alone."""
        return {"keys": [{**self.key.as_dict(private=False), "use": "sig", "alg": ALGORITHM}]}

    def mint(self, *, roles: Sequence[str], tenant: str, user: str, ttl_s: int = DEFAULT_TTL_S) -> str:
        """Sign a token.

        Args:
            roles: Role names, ours or foreign; a gateway drops those it does not know.
            tenant: `[a-z0-9][a-z0-9-]{0,62}`.
            user: The `sub` claim, 1 to 256 bytes without control characters.
            ttl_s: How long it holds, at most 30 days.

        Raises:
            CannotMint: An argument that no gateway would accept.
        """
        # what the gateway would refuse is better not made
        if not is_tenant(tenant):
            raise CannotMint(f"tenant `{tenant}` is not of the form [a-z0-9][a-z0-9-]{{0,62}}")
        if not is_id(user):
            raise CannotMint("the user must have 1 to 256 bytes and no control characters")
        if not 0 < ttl_s <= MAX_TTL_S:
            raise CannotMint(f"a token must hold for 1 to {MAX_TTL_S} seconds")
        now = int(self.clock().timestamp())
        claims = {
            "iss": self.iss,
            "aud": self.audience,
            "sub": user,
            "tenant_id": tenant,
            "roles": list(roles),
            "iat": now,
            "exp": now + ttl_s,
            "jti": str(uuid.uuid4()),
        }
        return jwt.encode({"alg": ALGORITHM, "typ": "JWT", "kid": self.key.kid}, claims, self.key, [ALGORITHM])


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the system lets go of it when the process ends, however it ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _stored_key(path: Path, clock: Clock) -> ECKey | None:
    """The key in the file; None when there is none, or when what was there has just been set aside."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    key = _private_key(text)
    if key is None:
        aside = path.with_name(f"{path.name}.unusable-{stamp(clock())}")
        while aside.exists():
            aside = aside.with_name(f"{aside.name}+")
        path.rename(aside)
        _log.warning("issuer_key_set_aside", file=str(path), moved_to=str(aside))
        return None
    path.chmod(0o600)  # a key that was copied about with a wider mode is narrowed
    return key


def _private_key(text: bytes) -> ECKey | None:
    """The private P-256 key of a JWK; None for anything else."""
    try:
        members = json.loads(text)
        if not isinstance(members, dict) or members.get("crv") != CURVE:
            return None
        key = ECKey.import_key(members)
    except (JoseError, ValueError, TypeError):  # joserfc raises TypeError for members of odd types
        return None
    key.ensure_kid()
    return key if key.is_private else None


def _new_key(path: Path) -> ECKey:
    """Make a key and put it in place whole: a process that is killed half-way leaves no half key."""
    key = ECKey.generate_key(CURVE, auto_kid=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(key.as_dict(private=True), stream)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)
    return key
