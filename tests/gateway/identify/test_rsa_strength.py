"""RSA keys that are too weak, too big, or from a broken generator."""

import secrets

import pytest

from gateway.identify.rsa_strength import MAX_BITS, MIN_BITS, rsa_weakness
from tests.builders.tokens import encode, signing_key

E65537 = "AQAB"


def _text(number: int) -> str:
    return encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).decode()


def _modulus(bits: int) -> int:
    return (1 << (bits - 1)) | secrets.randbits(bits - 2) << 1 | 1


def test_a_good_key_has_no_weakness() -> None:
    """A fresh 2048-bit key passes."""
    jwk = signing_key("RS256").public()
    assert rsa_weakness(jwk["n"], jwk["e"]) is None


@pytest.mark.parametrize(("bits", "good"), [(1024, False), (2047, False), (2048, True), (8192, True), (8193, False)])
def test_the_size_has_bounds(bits: int, good: bool) -> None:
    """Less than 2048 bits can be broken, more than 8192 is only there to make verifying slow."""
    assert (rsa_weakness(_text(_modulus(bits)), E65537) is None) is good
    assert (MIN_BITS, MAX_BITS) == (2048, 8192)


def test_leading_zeros_do_not_make_a_key_longer() -> None:
    """The size is the number's, not its encoding's."""
    padded = encode(b"\0" * 128 + _modulus(1024).to_bytes(128, "big")).decode()
    assert rsa_weakness(padded, E65537) is not None


@pytest.mark.parametrize("exponent", [1, 3, 65535, 65536, 65538, 1 << 32, (1 << 256) + 1])
def test_exponents_out_of_range(exponent: int) -> None:
    """Even, small and huge exponents are refused (FIPS 186-5 s5.1)."""
    assert rsa_weakness(_text(_modulus(2048)), _text(exponent)) is not None


@pytest.mark.parametrize("text", ["", "A", "é" * 400, "!" * 342, "A" * 100_000])
def test_text_that_is_no_number(text: str) -> None:
    """Anything may stand in a published key; it is named, and nothing is computed from a huge one."""
    assert rsa_weakness(text, E65537) is not None
    assert rsa_weakness(_text(_modulus(2048)), text) is not None


def test_the_roca_mark_is_found() -> None:
    """A modulus of the broken form, a power of 65537 modulo a product of small primes, is recognised."""
    primes = [p for p in range(2, 168) if all(p % q for q in range(2, p))]
    product = 1
    for prime in primes:
        product *= prime
    broken = pow(65537, 12345, product) + product * (_modulus(2048) // product)
    assert rsa_weakness(_text(broken), E65537) == "RSA key from a broken generator (ROCA)"
