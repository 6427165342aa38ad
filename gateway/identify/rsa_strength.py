"""Whether an RSA public key is worth trusting: size, exponent, and the mark of a broken generator."""

import base64
import binascii

# NIST SP 800-131A rev. 2 s3: less than 2048 bits is disallowed. Verifying costs with the square of the size, and the
# key is the sender's choice, so there is an upper bound too; the largest in use is 4096.
MIN_BITS = 2048
MAX_BITS = 8192
# FIPS 186-5 s5.1: 2^16 < e < 2^256, odd. Everybody uses 65537; 32 bits keep verifying cheap.
_MIN_EXPONENT = 1 << 16
_MAX_EXPONENT = 1 << 32
# base64url of MAX_BITS, and the slack of a leading zero byte: longer text is not worth turning into a number.
_MAX_TEXT = MAX_BITS // 6 + 8

# CVE-2017-15361 (ROCA): Infineon's library made primes p = k*M + 65537^a mod M, M a product of the first primes, so the
# modulus, too, is a power of 65537 modulo each of them. Those where 65537 generates a small subgroup are the telling
# ones; a random modulus passes all with a chance of 2^-28. Nemec et al., "The Return of Coppersmith's Attack", s2.3.
_ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)


def _powers(prime: int) -> frozenset[int]:
    return frozenset(pow(65537, exponent, prime) for exponent in range(prime - 1))


_ROCA_MARKS = tuple((prime, _powers(prime)) for prime in _ROCA_PRIMES)


def rsa_weakness(n: str, e: str) -> str | None:
    """Say what is wrong with a key.

    Args:
        n: The modulus as in a JWK, base64url.
        e: The public exponent, likewise.

    Returns:
        A fixed sentence, or None for a key of good size and form.
    """
    if len(n) > _MAX_TEXT or len(e) > _MAX_TEXT:
        return "RSA key too large"
    try:
        modulus, exponent = _number(n), _number(e)
    except binascii.Error:
        return "not a valid key"
    if not MIN_BITS <= modulus.bit_length() <= MAX_BITS:
        return "RSA key smaller than 2048 or larger than 8192 bits"
    if not _MIN_EXPONENT < exponent < _MAX_EXPONENT or not exponent & 1 or not modulus & 1:
        return "RSA exponent or modulus out of range"
    if all(modulus % prime in powers for prime, powers in _ROCA_MARKS):
        return "RSA key from a broken generator (ROCA)"
    return None


def _number(text: str) -> int:
    if not text or not text.isascii():
        raise binascii.Error("not base64url")
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")
