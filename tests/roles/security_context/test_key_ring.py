"""The keys of a file and whose turn it is."""

import json
from typing import Any

import pytest

from roles.errors import ContextUnusable
from roles.security_context.key_ring import KeyRing, new_key, public_halves
from roles.security_context.keys import new_private_jwk, parse_jwk

NOW = 1_800_000_000


def single(alg: Any = "EdDSA") -> KeyRing:
    """As a gateway makes it at its first start."""
    return KeyRing.parse(new_private_jwk(alg))


def text(*keys: dict[str, Any]) -> str:
    """A file's text."""
    return json.dumps({"keys": list(keys)})


def jwk(**more: Any) -> dict[str, Any]:
    """A fresh key."""
    return {**json.loads(new_private_jwk()), **more}


def test_one_key_signs_for_ever() -> None:
    """A file with one key, as before there was rotation."""
    ring = single()
    turns = ring.at(0)
    assert (turns.current, turns.next, turns.last, turns.until) == (ring.keys[0], (), (), None)


def test_a_key_without_an_id_gets_its_thumbprint() -> None:
    """The same that a signer gives it."""
    bare = {name: value for name, value in jwk().items() if name != "kid"}
    [key] = KeyRing.parse(json.dumps(bare)).keys
    assert key.kid == parse_jwk(bare)[0].kid
    assert json.loads(key.public or "")["kid"] == key.kid


@pytest.mark.parametrize("alg", ["EdDSA", "ES256", "HS256"])
def test_a_rotation_turns_by_the_clock(alg: Any) -> None:
    """Next, then current and last, then alone; each moment is said beforehand, and a file keeps all of it."""
    old = single(alg)
    ring = old.rotated(NOW, alg=alg, signs_from=NOW + 60, believed_until=NOW + 420)
    assert KeyRing.parse(ring.text()) == ring
    first, second = ring.keys
    assert (first.kid, second.alg, second.made_at) == (old.keys[0].kid, alg, NOW)
    seen = []
    for now in (NOW, NOW + 59.9, NOW + 60, NOW + 419.9, NOW + 420):
        turns = ring.at(now)
        seen.append((turns.current.kid, [key.kid for key in turns.next], [key.kid for key in turns.last], turns.until))
    published = (first.kid, [second.kid], [], NOW + 60)
    switched = (second.kid, [], [first.kid], NOW + 420)
    assert seen == [published, published, switched, switched, (second.kid, [], [], None)]


def test_a_second_next_is_refused() -> None:
    """Two rotations at once are one."""
    ring = single().rotated(NOW, alg="EdDSA", signs_from=NOW + 60, believed_until=NOW + 420)
    with pytest.raises(ContextUnusable, match="the next key is there already"):
        ring.rotated(NOW + 59, alg="EdDSA", signs_from=NOW + 120, believed_until=NOW + 480)
    again = ring.rotated(NOW + 60, alg="EdDSA", signs_from=NOW + 120, believed_until=NOW + 480)
    assert [key.kid for key in again.keys[:2]] == [key.kid for key in ring.keys]
    assert len(again.keys) == 3
    assert len(again.rotated(NOW + 420, alg="EdDSA", signs_from=NOW + 500, believed_until=NOW + 900).keys) == 3


def test_what_signs_no_more_loses_its_private_half() -> None:
    """At the next rotation and at `retire`; the current and the next keep theirs."""
    ring = single().rotated(NOW, alg="EdDSA", signs_from=NOW + 60, believed_until=NOW + 420)
    assert ring.retired(NOW) == ring
    retired = ring.retired(NOW + 60)
    assert ["d" in json.loads(key.jwk) for key in retired.keys] == [False, True]
    assert [key.kid for key in ring.retired(NOW + 420).keys] == [ring.keys[1].kid]
    assert retired.at(NOW + 60).last[0].public == ring.keys[0].public
    again = ring.rotated(NOW + 60, alg="EdDSA", signs_from=NOW + 120, believed_until=NOW + 480)
    assert ["d" in json.loads(key.jwk) for key in again.keys] == [False, True, True]


def test_what_is_published_has_no_secret_and_no_times() -> None:
    """Public halves; of a secret nothing."""
    key = new_key("ES256", NOW, NOW + 60)
    [public] = public_halves([key])
    assert json.loads(public).keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert public_halves([new_key("HS256", NOW, NOW)]) == ()


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("{", "not JSON"),
        ("[" * 60_000, "not JSON"),
        ("[]", "not a usable JWK"),
        ('"x"', "not a usable JWK"),
        (text(), "nor a set"),
        ('{"keys": {}}', "nor a set"),
        ('{"keys": [1]}', "an object is expected"),
        (text(jwk(nbf=-1)), "`nbf`.*whole number"),
        (text(jwk(exp="soon")), "`exp`.*whole number"),
        (text(jwk(iat=True)), "`iat`.*whole number"),
        (text(jwk(nbf=1.5)), "`nbf`.*whole number"),
        (text(jwk(exp=1_800_000_000_000)), "`exp`.*whole number"),  # milliseconds
        (text(jwk(kid="a"), jwk(kid="a", nbf=1)), "two keys with the same `kid`"),
        (text(jwk(), jwk()), "two keys with the same `nbf`"),
        (text(jwk(), {**json.loads(new_private_jwk("HS256")), "nbf": 1}), "a secret beside key pairs"),
        (text(*(jwk(nbf=n) for n in range(17))), "17 keys, more than 16"),
        (text(jwk(use="enc")), "not a usable JWK"),
        (text({"kty": "OKP", "crv": "Ed25519", "d": "hush", "x": "hush"}), "not a usable JWK"),
    ],
)
def test_what_is_no_key_file_is_refused(bad: str, words: str) -> None:
    """With the reason, and nothing of what was in it."""
    with pytest.raises(ContextUnusable, match=words) as refused:
        KeyRing.parse(bad)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("times", [{"nbf": NOW + 1}, {"exp": NOW}, {"exp": NOW - 1, "nbf": 5}])
def test_nobodys_turn_is_said(times: dict[str, int]) -> None:
    """No key is used before or after its time, not even the only one."""
    with pytest.raises(ContextUnusable, match="no key of it signs now"):
        KeyRing.parse(text(jwk(**times))).at(NOW)


def test_a_signer_needs_private_halves_for_its_algorithm() -> None:
    """Of the current key and of the next; what is last may be public only."""
    ring = single().rotated(NOW, alg="EdDSA", signs_from=NOW + 60, believed_until=NOW + 420)
    assert ring.retired(NOW + 60).signing_at(NOW + 60, "EdDSA").last
    with pytest.raises(ContextUnusable, match="for EdDSA, not for ES256"):
        ring.signing_at(NOW, "ES256")
    for bare in (0, 1):
        keys = list(ring.keys)
        keys[bare] = keys[bare].without_private()
        with pytest.raises(ContextUnusable, match=f"{keys[bare].kid} has no private half"):
            KeyRing(tuple(keys)).signing_at(NOW, "EdDSA")


def test_keys_have_no_text() -> None:
    """A repr ends up in logs."""
    ring = single()
    assert json.loads(ring.keys[0].jwk)["d"] not in repr(ring) + repr(ring.at(0))
