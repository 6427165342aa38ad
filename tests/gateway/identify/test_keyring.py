"""Issuers and keys as one value: which key a token may be verified with."""

import pytest

from gateway.identify.jws import read
from gateway.identify.keyring import Keyring
from gateway.identify.refusal import Reason, TokenRefused, UnknownKey
from gateway.sources import IssuerKeys, IssuerSource
from policies.model import Json
from tests.builders.tokens import ISS, ISSUER, SigningKey, jwks, keyring, mint, signing_key, source

OTHER = source(name="other", iss="https://other.example")


def _check(ring: Keyring, key: SigningKey, iss: str = ISS) -> str:
    return ring.issuer_of({"iss": iss}).check_for(read(mint(key))).ref


def _refused(ring: Keyring, key: SigningKey) -> TokenRefused:
    with pytest.raises(TokenRefused) as caught:
        _check(ring, key)
    return caught.value


def test_the_named_key_is_the_one() -> None:
    """A token's `kid` chooses among several keys."""
    keys = [signing_key("ES256", f"k{which}", which) for which in range(3)]
    ring = keyring(keys)
    assert [_check(ring, key) for key in keys] == [f"{ISSUER}#{key.key.thumbprint()}" for key in keys]
    assert ring.key_refs == {f"{ISSUER}#{key.key.thumbprint()}" for key in keys}


def test_an_unknown_name_asks_for_a_fetch() -> None:
    """The refusal says which key of which issuer was missing, and no other key is tried."""
    refused = _refused(keyring(), signing_key("ES256", "new"))
    assert (refused.reason, refused.unknown_key) == (Reason.UNKNOWN_KEY, UnknownKey(ISSUER, "new"))


def test_a_token_without_a_name_is_for_the_only_fitting_key() -> None:
    """One key of the algorithm serves, published with a name or without; two leave a choice and none is made."""
    unnamed = signing_key("ES256", None)
    assert _check(keyring([signing_key("ES256", "a"), signing_key("RS256", "b")]), unnamed)
    assert _check(keyring([unnamed]), unnamed)
    refused = _refused(keyring([signing_key("ES256", "a"), signing_key("ES256", "b", 1)]), unnamed)
    assert (refused.reason, refused.unknown_key) == (Reason.UNKNOWN_KEY, UnknownKey(ISSUER, None))


def test_a_key_without_a_name_serves_no_token_with_one() -> None:
    """A name means that name."""
    assert _refused(keyring([signing_key("ES256", None)]), signing_key("ES256", "k1")).reason == Reason.UNKNOWN_KEY


def test_only_the_issuers_algorithms() -> None:
    """What the configuration does not list is refused whatever key there is; it is no reason to fetch."""
    refused = _refused(keyring(algorithms=("RS256",)), signing_key("ES256"))
    assert (refused.reason, refused.unknown_key) == (Reason.ALGORITHM, None)


def test_a_known_name_with_another_algorithm_is_an_algorithm_fault() -> None:
    """The key is there and is not for this; fetching again would not help."""
    refused = _refused(keyring([signing_key("RS256", "k1")]), signing_key("ES256", "k1"))
    assert (refused.reason, refused.unknown_key) == (Reason.ALGORITHM, None)


def test_keys_of_one_issuer_never_verify_for_another() -> None:
    """RFC 8725 s3.8: the same `kid` at two issuers is two keys."""
    mine, theirs = signing_key("ES256", "k1", 1), signing_key("ES256", "k1", 2)
    published = [IssuerKeys(ISSUER, jwks(mine.public())), IssuerKeys("other", jwks(theirs.public()))]
    ring = Keyring.build([source(), OTHER], published)
    assert _check(ring, mine) == f"{ISSUER}#{mine.key.thumbprint()}"
    assert _check(ring, mine, "https://other.example") == f"other#{theirs.key.thumbprint()}"


@pytest.mark.parametrize(
    ("claims", "sole", "several"),
    [
        ({"iss": "https://evil.example"}, Reason.ISSUER, Reason.ISSUER),
        ({"iss": ISS + "/"}, Reason.ISSUER, Reason.ISSUER),
        ({"iss": 5}, None, Reason.ISSUER),
        ({}, None, Reason.ISSUER),
        (None, None, Reason.MALFORMED),
    ],
)
def test_who_may_have_signed(claims: dict[str, Json] | None, sole: Reason | None, several: Reason) -> None:
    """An unknown issuer is refused at once; a payload that names none is held against the only issuer there is."""
    for ring, expected in ((keyring(), sole), (Keyring.build([source(), OTHER], []), several)):
        if expected is None:
            assert ring.issuer_of(claims).trusted.source.name == ISSUER
        else:
            with pytest.raises(TokenRefused) as caught:
                ring.issuer_of(claims)
            assert caught.value.reason == expected


def test_an_issuer_without_keys_is_waited_for() -> None:
    """Readiness can name it, and its tokens ask for a fetch; keys of unknown issuers are nobody's."""
    stray = IssuerKeys("stray", jwks(signing_key().public()))
    ring = Keyring.build([source(), OTHER], [stray])
    assert ring.waiting_for == (ISSUER, "other")
    assert ring.key_refs == frozenset()
    assert _refused(ring, signing_key()).unknown_key == UnknownKey(ISSUER, "k1")


def test_a_refused_set_leaves_its_issuer_without_keys_and_the_others_alone() -> None:
    """One bad publication costs nobody else, and is named."""
    bad = IssuerKeys("other", jwks({"kty": "oct", "k": "c2VjcmV0"}))
    ring = Keyring.build([source(), OTHER], [IssuerKeys(ISSUER, jwks(signing_key().public())), bad])
    assert ring.waiting_for == ("other",)
    assert [(finding.issuer, finding.kid, finding.reason) for finding in ring.findings] == [
        ("other", "*", "a symmetric key in a published set")
    ]


@pytest.mark.parametrize(
    "sources",
    [
        [source(), source(iss="https://x.example")],
        [source(), source(name="x")],
        [source(name="a/b")],
        [source(name="")],
        [source(name="-")],
        [source(algorithms=("ES256", "HS256"))],
        [source(algorithms=("none",))],
    ],
)
def test_configurations_that_could_forge_a_principal(sources: list[IssuerSource]) -> None:
    """Two issuers in one, a name that could be read in two ways, an algorithm that is none: not even built."""
    with pytest.raises(ValueError, match="issuer"):
        Keyring.build(sources, [])


def test_its_repr_counts() -> None:
    """The repr is the debugger's view: numbers and names, no keys."""
    assert repr(keyring()) == "Keyring(1 issuers, 1 keys, waiting for [])"


def test_an_issuer_is_found_by_our_name_for_it() -> None:
    """For those who hear of a subject without a token of it."""
    ring = keyring()
    trusted = ring.trust_of(ISSUER)
    assert trusted is not None
    assert trusted.source == source()
    assert ring.trust_of(source().iss) is None
