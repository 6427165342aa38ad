"""The secrets a service shares with the gateway, from a file that is rotated."""

import pytest

from roles.errors import ContextRejected, ContextUnusable
from roles.security_context import ContextSigner, ContextVerifier, SecretFileKeys, SecurityContext
from roles.security_context.key_ring import KeyRing, new_key
from roles.security_context.keys import new_private_jwk

NOW = 1_800_000_000
VERIFIER = ContextVerifier("lychgate", "order")


class File:
    """A file, a clock, and how often it was read."""

    def __init__(self, text: str) -> None:
        self.text: str | None = text
        self.now = float(NOW)
        self.reads = 0

    def read(self) -> bytes:
        """Its bytes."""
        self.reads += 1
        if self.text is None:
            raise FileNotFoundError
        return self.text.encode()

    def keys(self) -> SecretFileKeys:
        """As a service holds them."""
        return SecretFileKeys(self.read, clock=lambda: self.now, monotonic=lambda: self.now)


def signed(jwk: str, now: float) -> str:
    """A context as the gateway signs it."""
    context = SecurityContext(
        iss="lychgate", aud="order", sub="u", tenant_id="acme", roles=(), trace_id="0" * 31 + "1",
        policy_version="p", iat=int(now), exp=int(now) + 60, jti="j",
    )  # fmt: skip
    return ContextSigner("lychgate", 60, {"order": jwk}, "HS256").sign(context)


async def test_the_next_is_known_before_it_signs_and_the_last_after_it_did() -> None:
    """The file is written once; what a service believes changes with the file and with the clock."""
    file = File(KeyRing.parse(new_private_jwk("HS256")).text())
    keys = file.keys()
    old = KeyRing.parse(file.text or "")
    ring = old.rotated(NOW, alg="HS256", signs_from=NOW + 60, believed_until=NOW + 420)
    first, second = ring.keys
    believed = await keys.keys()
    with pytest.raises(ContextRejected, match="unknown_key"):
        VERIFIER.verify(signed(second.jwk, NOW), believed, NOW)
    file.text = ring.text()
    file.now += 1
    VERIFIER.verify(signed(second.jwk, NOW), await keys.refreshed(), NOW)
    file.now = NOW + 400
    VERIFIER.verify(signed(first.jwk, file.now), await keys.keys(), file.now)
    file.now = NOW + 420
    with pytest.raises(ContextRejected, match="unknown_key"):
        VERIFIER.verify(signed(first.jwk, file.now), await keys.keys(), file.now)


async def test_it_is_read_only_so_often() -> None:
    """Once in five seconds; sooner where a key is missing, but not for each forged id."""
    file = File(new_private_jwk("HS256"))
    keys = file.keys()
    for _ in range(5):
        await keys.keys()
        await keys.refreshed()
    assert file.reads == 1
    file.now += 0.5
    for _ in range(5):
        await keys.refreshed()
    assert file.reads == 2
    file.now += 4.9
    await keys.keys()
    assert file.reads == 2
    file.now += 0.1
    await keys.keys()
    assert file.reads == 3


@pytest.mark.parametrize("text", [None, "{", new_private_jwk("EdDSA")])
async def test_a_file_that_cannot_be_read_keeps_what_was_there(text: str | None) -> None:
    """A service outlives a mistake; but it does not start with one."""
    good = new_private_jwk("HS256")
    file = File(good)
    keys = file.keys()
    before = await keys.keys()
    file.text = text
    file.now += 60
    assert await keys.keys() is before
    with pytest.raises((OSError, ContextUnusable)):
        file.keys()
    file.text = KeyRing((new_key("HS256", NOW, NOW),)).text()
    file.now += 60
    assert await keys.keys() is not before


async def test_a_key_whose_time_is_over_is_believed_no_longer_whatever_becomes_of_the_file() -> None:
    """Neither where the file is gone, nor where it holds nothing else."""
    ring = KeyRing.parse(new_private_jwk("HS256")).rotated(
        NOW, alg="HS256", signs_from=NOW + 60, believed_until=NOW + 100
    )
    first, second = ring.keys
    file = File(ring.text())
    gone = file.keys()
    file.text = KeyRing((first,)).text()
    alone = file.keys()
    file.text = None
    file.now = NOW + 99
    for keys in (gone, alone):
        assert (await keys.keys()).get(first.kid) is not None
    file.now = NOW + 100
    assert (await gone.keys()).get(first.kid) is None
    VERIFIER.verify(signed(second.jwk, file.now), await gone.keys(), file.now)
    for ask in (alone.keys, alone.refreshed):
        with pytest.raises(ContextUnusable):
            await ask()
    file.text = ring.text()
    file.now += 60
    assert (await alone.keys()).get(second.kid) is not None
