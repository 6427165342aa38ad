"""The keys of one file and whose turn it is: the next, the current, the last. Pure: no clock, no IO.

A file holds one private JWK, or a JWK set whose keys say when their time is, in seconds since the epoch:

    iat  when it was made
    nbf  from when it signs; 0 where it does not say
    exp  until when what it signed is believed; for ever where it does not say

The current key is the one whose `nbf` came last. So a rotation is one file, written once, and everybody who reads it
changes at the same moment by the clock, without being told again. The names are those of OpenID Federation's historical
keys.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from joserfc.jwk import OctKey

from roles.errors import ContextUnusable
from roles.security_context.keys import Alg, new_private_jwk, parse_jwk

_TIMES: Final = ("iat", "nbf", "exp")
_LATEST: Final = 253_402_300_799
"""The last second of the year 9999: what is later is milliseconds by mistake, and would never come."""
_MAX_KEYS: Final = 16
"""A rotation a minute for a quarter of an hour; a file with more is a mistake."""


class HeldKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a file.

    Attributes:
        jwk: JWK JSON with its private or secret half, without times.
        kid: Its id; the RFC 7638 thumbprint where the file gives none.
        alg: What it is for.
        made_at: When it was made; None where the file does not say.
        signs_from: From when it signs.
        believed_until: Until when what it signed is believed; None for ever.
    """

    jwk: str
    kid: str
    alg: Alg
    made_at: int | None = None
    signs_from: int = 0
    believed_until: int | None = None

    def __repr__(self) -> str:
        """Without the key: a repr ends up in logs."""
        return f"HeldKey({self.kid}, {self.alg})"

    @property
    def public(self) -> str | None:
        """Its public half as JWK JSON; None for a secret."""
        key, alg = parse_jwk(self.jwk)
        if isinstance(key, OctKey):
            return None
        return json.dumps({**key.as_dict(private=False), "kid": self.kid, "use": "sig", "alg": alg})

    def without_private(self) -> "HeldKey":
        """The same key with no more of it than verifying needs; a secret stays whole."""
        return msgspec.structs.replace(self, jwk=self.public or self.jwk)

    def member(self) -> dict[str, Any]:
        """As it stands in a file."""
        times = (self.made_at, self.signs_from or None, self.believed_until)
        return {
            **json.loads(self.jwk),
            "kid": self.kid,
            **{name: at for name, at in zip(_TIMES, times, strict=True) if at is not None},
        }


class Turns(msgspec.Struct, frozen=True):
    """Whose turn it is at one moment.

    Attributes:
        current: Signs.
        next: Will sign, the soonest first; believed already.
        last: Signed before, the latest first; believed still.
        until: When any of this changes; None for never.
    """

    current: HeldKey
    next: tuple[HeldKey, ...]
    last: tuple[HeldKey, ...]
    until: int | None


class KeyRing(msgspec.Struct, frozen=True):
    """The keys of one file, in the order in which they sign."""

    keys: tuple[HeldKey, ...]

    @classmethod
    def parse(cls, text: str | bytes) -> "KeyRing":
        """Read a file's text: one JWK, or a set of them.

        Raises:
            ContextUnusable: It is neither, a key cannot be used, or two share an id or a moment. Nothing of a key is in
                the message.
        """
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise ContextUnusable("not a usable JWK (not JSON)") from None
        members = found.get("keys") if isinstance(found, dict) and "kty" not in found else [found]
        if not isinstance(members, list) or not members:
            raise ContextUnusable("not a usable JWK, nor a set of them")
        if len(members) > _MAX_KEYS:
            raise ContextUnusable(f"{len(members)} keys, more than {_MAX_KEYS}")
        keys = tuple(sorted((_held(member) for member in members), key=lambda key: key.signs_from))
        for what, values in (
            ("the same `kid`", [key.kid for key in keys]),
            ("the same `nbf`", [key.signs_from for key in keys]),
        ):
            if len(set(values)) < len(keys):
                raise ContextUnusable(f"two keys with {what}")
        if len({key.alg == "HS256" for key in keys}) > 1:
            raise ContextUnusable("a secret beside key pairs")
        return cls(keys)

    def text(self) -> str:
        """As it is written to a file."""
        return json.dumps({"keys": [key.member() for key in self.keys]}, indent=1) + "\n"

    def at(self, now: float) -> Turns:
        """Whose turn it is.

        Args:
            now: Seconds since the epoch.

        Raises:
            ContextUnusable: Nobody's: no key has begun to sign, or the one that did has ended.
        """
        believed = self._believed(now)
        begun = [key for key in believed if key.signs_from <= now]
        if not begun:
            raise ContextUnusable("no key of it signs now: its `nbf` is still to come, or its `exp` is over")
        moments = [key.signs_from for key in believed]
        moments += [key.believed_until for key in believed if key.believed_until is not None]
        return Turns(
            begun[-1],
            tuple(key for key in believed if key.signs_from > now),
            tuple(reversed(begun[:-1])),
            min((moment for moment in moments if moment > now), default=None),
        )

    def signing_at(self, now: float, alg: str) -> Turns:
        """The same for whoever signs: the current key has its private half, and all are for one algorithm.

        Args:
            now: Seconds since the epoch.
            alg: The algorithm.

        Raises:
            ContextUnusable: As `at`, or a key that does not do.
        """
        turns = self.at(now)
        for key in (turns.current, *turns.next, *turns.last):
            if key.alg != alg:
                raise ContextUnusable(f"a key in it is for {key.alg}, not for {alg}")
        for key in (turns.current, *turns.next):
            if not parse_jwk(key.jwk)[0].is_private:
                raise ContextUnusable(f"the key {key.kid} has no private half to sign with")
        return turns

    def rotated(self, now: int, *, alg: Alg, signs_from: int, believed_until: int) -> "KeyRing":
        """With a new key that signs from a moment on; what is over by now goes.

        Args:
            now: The present, seconds since the epoch.
            alg: Of the new key.
            signs_from: From when it signs, after `now`.
            believed_until: Until when what the current one signed is believed.

        Raises:
            ContextUnusable: A next key is there already.
        """
        turns = self.at(now)
        if turns.next:
            raise ContextUnusable(f"the next key is there already: {turns.next[0].kid}")
        ending = msgspec.structs.replace(turns.current, believed_until=believed_until)
        last = (key.without_private() for key in reversed(turns.last))
        return KeyRing((*last, ending, new_key(alg, now, signs_from)))

    def retired(self, now: float) -> "KeyRing":
        """Without the keys that are over, and without the private halves of those that sign no more."""
        turns = self.at(now)
        return KeyRing((*(key.without_private() for key in reversed(turns.last)), turns.current, *turns.next))

    def _believed(self, now: float) -> tuple[HeldKey, ...]:
        return tuple(key for key in self.keys if key.believed_until is None or key.believed_until > now)


def new_key(alg: Alg, made_at: int, signs_from: int) -> HeldKey:
    """A fresh key."""
    jwk = new_private_jwk(alg)
    return HeldKey(jwk=jwk, kid=str(json.loads(jwk)["kid"]), alg=alg, made_at=made_at, signs_from=signs_from)


def public_halves(keys: Iterable[HeldKey]) -> tuple[str, ...]:
    """What of these may be published."""
    return tuple(public for key in keys if (public := key.public) is not None)


def _held(member: object) -> HeldKey:
    if not isinstance(member, dict):
        raise ContextUnusable("not a usable JWK: an object is expected")
    times = {name: member.get(name) for name in _TIMES}
    for name, at in times.items():
        if at is not None and (type(at) is not int or not 0 <= at <= _LATEST):
            raise ContextUnusable(f"`{name}` of a key is not a whole number of seconds")
    bare = {name: value for name, value in member.items() if name not in _TIMES}
    key, alg = parse_jwk(bare)
    return HeldKey(
        jwk=json.dumps({**bare, "kid": key.kid}),
        kid=str(key.kid),
        alg=alg,
        made_at=times["iat"],
        signs_from=times["nbf"] or 0,
        believed_until=times["exp"],
    )
