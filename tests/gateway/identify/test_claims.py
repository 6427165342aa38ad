"""What an issuer says of a caller, held against what it may say. The signature is another stage's business."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code
from gateway.identify.claims import Trust, granted, identity, is_id, trust
from gateway.identify.refusal import Claimed, Reason, TokenRefused
from gateway.model import Identity
from roles.model import Grant, is_tenant
from tests.builders.tokens import ISSUER, NOW, catalogue, claims, source

LEEWAY = 30.0
CLAIMED = Claimed(ISSUER, "acme", "u-17")


def _identity(payload: dict[str, Any], trusted: Trust | None = None, now: float = NOW) -> Identity:
    return identity(payload, trusted or trust(source(), []), catalogue(), now, token_sha256=b"#" * 32, kid_ref="k")


def _refused(payload: dict[str, Any], trusted: Trust | None = None, now: float = NOW) -> TokenRefused:
    with pytest.raises(TokenRefused) as caught:
        _identity(payload, trusted, now)
    return caught.value


def test_a_good_token_is_somebody() -> None:
    """Everything a later stage needs comes out, and nothing else of the token."""
    found = _identity(claims(roles=["Boss", "shop_agent", "offline_access"]))
    assert found.principal.uid.id == "partner/acme/u-17"
    assert found.principal.roles == ("Clerk", "Boss")
    assert found.dropped_roles == ("offline_access",)
    assert (found.auth_method, found.jti, found.kid_ref) == ("jwt", "t-1", "k")
    assert (found.issued_at, found.expires_at) == (NOW - 10, NOW + 300 + LEEWAY)


def test_what_may_be_missing() -> None:
    """Without `iat`, `jti` and roles a caller is known, and may do nothing; the time of issue is the earliest."""
    found = _identity(claims(iat=None, jti=None, roles=None))
    assert (found.issued_at, found.jti, found.principal.roles) == (0.0, None, ())


@pytest.mark.parametrize(
    ("changes", "reason", "booked"),
    [
        ({"iss": None}, Reason.ISSUER, False),
        ({"iss": "https://id.example/"}, Reason.ISSUER, False),
        ({"iss": ["https://id.example"]}, Reason.ISSUER, False),
        ({"tenant_id": None}, Reason.TENANT, False),
        ({"tenant_id": ""}, Reason.TENANT, False),
        ({"tenant_id": "-"}, Reason.TENANT, False),
        ({"tenant_id": "Acme"}, Reason.TENANT, False),
        ({"tenant_id": "acme\n"}, Reason.TENANT, False),
        ({"tenant_id": "a" * 64}, Reason.TENANT, False),
        ({"tenant_id": ["acme"]}, Reason.TENANT, False),
        ({"sub": None}, Reason.SUBJECT, False),
        ({"sub": ""}, Reason.SUBJECT, False),
        ({"sub": 17}, Reason.SUBJECT, False),
        ({"sub": "u\x00"}, Reason.SUBJECT, False),
        ({"sub": "u\r\nX-Tenant-Id: globex"}, Reason.SUBJECT, False),
        ({"sub": "u\x85"}, Reason.SUBJECT, False),
        ({"sub": "u" * 257}, Reason.SUBJECT, False),
        ({"sub": "ü" * 129}, Reason.SUBJECT, False),
        ({"aud": None}, Reason.AUDIENCE, True),
        ({"aud": "lychgate2"}, Reason.AUDIENCE, True),
        ({"aud": []}, Reason.AUDIENCE, True),
        ({"aud": ["other", 5]}, Reason.AUDIENCE, True),
        ({"aud": ["lychgate", 5]}, Reason.AUDIENCE, True),
        ({"aud": {"lychgate": 1}}, Reason.AUDIENCE, True),
        ({"jti": 5}, Reason.CLAIMS, True),
        ({"jti": ""}, Reason.CLAIMS, True),
        ({"roles": "Clerk"}, Reason.CLAIMS, True),
        ({"roles": {"Clerk": 1}}, Reason.CLAIMS, True),
        ({"roles": ["Clerk", 5]}, Reason.CLAIMS, True),
        ({"roles": [["Clerk"]]}, Reason.CLAIMS, True),
        ({"exp": None}, Reason.CLAIMS, True),
        ({"exp": str(int(NOW) + 300)}, Reason.CLAIMS, True),
        ({"exp": True}, Reason.CLAIMS, True),
        ({"exp": 10**400}, Reason.CLAIMS, True),
        ({"exp": 1e300}, Reason.CLAIMS, True),
        ({"nbf": "now"}, Reason.CLAIMS, True),
        ({"iat": [1]}, Reason.CLAIMS, True),
        ({"nbf": NOW + LEEWAY + 1}, Reason.NOT_YET, True),
        ({"iat": NOW + LEEWAY + 1}, Reason.NOT_YET, True),
        ({"exp": NOW - LEEWAY}, Reason.EXPIRED, True),
        ({"exp": -1}, Reason.EXPIRED, True),
    ],
)
def test_claims_that_do_not_hold(changes: dict[str, Any], reason: Reason, booked: bool) -> None:
    """Each wrong claim has its word; once issuer, tenant and subject hold, the refusal names whose it is."""
    refused = _refused(claims(**changes))
    assert refused.reason == reason
    assert refused.code is (Code.TOKEN_EXPIRED if reason is Reason.EXPIRED else Code.TOKEN_INVALID)
    assert refused.claimed == (CLAIMED if booked else None)


@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "jti"])
def test_null_is_a_wrong_type_and_not_an_absence(name: str) -> None:
    """A claim that is there and null has been tampered with by some library; only `jti` means nothing by it."""
    payload = {**claims(), name: None}
    if name == "jti":
        assert _identity(payload).jti is None
    else:
        assert _refused(payload).reason == Reason.CLAIMS


@pytest.mark.parametrize("aud", ["lychgate", ["lychgate"], ["other", "lychgate"]])
def test_one_of_several_audiences_is_enough(aud: object) -> None:
    """RFC 7519 s4.1.3: a name or a list of names."""
    assert _identity(claims(aud=aud)).principal.sub == "u-17"


def test_leeway_goes_both_ways_and_ends_somewhere() -> None:
    """Clocks may differ by the leeway, to the second; `expires_at` says when belief ends."""
    payload = claims(exp=NOW, nbf=NOW, iat=NOW)
    assert _identity(payload, now=NOW - LEEWAY).expires_at == NOW + LEEWAY
    assert _identity(payload, now=NOW + LEEWAY - 0.001)
    assert _refused(payload, now=NOW - LEEWAY - 0.001).reason == Reason.NOT_YET
    assert _refused(payload, now=NOW + LEEWAY).reason == Reason.EXPIRED


@pytest.mark.parametrize(
    "also", [{"aud": "other"}, {"roles": ["Root"]}, {"tenant_id": "?"}, {"jti": 1}, {"nbf": NOW + 1e6}]
)
def test_expired_means_only_expired(also: dict[str, Any]) -> None:
    """A token that is wrong and old is wrong: `token_expired` promises that a fresh one would have held."""
    assert _refused(claims(exp=1, **also)).code is Code.TOKEN_INVALID


def test_an_issuer_may_assert_only_its_tenants() -> None:
    """A listed tenant holds, any other is refused and booked to nobody: it must not fill a stranger's audit."""
    trusted = trust(source(tenants=("acme", "initech")), [])
    assert _identity(claims(tenant_id="initech"), trusted)
    refused = _refused(claims(tenant_id="globex"), trusted)
    assert (refused.reason, refused.claimed) == (Reason.TENANT, None)


def test_a_star_stops_at_tenants_that_others_list_by_name() -> None:
    """A partner trusted for `*` cannot speak for the platform, which lists its own tenant; a second lister can."""
    platform = source(name="platform", iss="https://platform.example", tenants=("platform",))
    assert _refused(claims(tenant_id="platform"), trust(source(), [platform])).reason == Reason.TENANT
    assert _identity(claims(tenant_id="acme"), trust(source(), [platform]))
    assert _identity(claims(tenant_id="platform"), trust(source(tenants=("*", "platform")), [platform]))
    assert _identity(claims(tenant_id="globex"), trust(source(), [source(tenants=("*",))]))


@pytest.mark.parametrize(
    ("allowed", "roles", "holds"),
    [
        (("Clerk",), ["Clerk"], True),
        (("Clerk",), ["shop_agent"], True),
        (("shop_agent",), ["shop_agent"], True),
        (("shop_agent",), ["Clerk"], False),
        (("Clerk",), ["Clerk", "Boss"], False),
        (("Clerk",), ["offline_access", "uma_authorization"], True),
        (("Clerk",), [], True),
        (("Clerk",), ["Nobody"], True),
        (("*",), ["Boss", "Robot"], True),
    ],
)
def test_an_issuer_may_assert_only_its_roles(allowed: tuple[str, ...], roles: list[str], holds: bool) -> None:
    """A role of ours that the issuer may not give, in our name or a foreign one, ends the token; noise does not."""
    trusted = trust(source(roles=allowed), [])
    if holds:
        _identity(claims(roles=roles), trusted)
    else:
        refused = _refused(claims(roles=roles), trusted)
        assert (refused.reason, refused.claimed) == (Reason.ROLE, CLAIMED)


def test_nobody_is_not_a_role_to_claim() -> None:
    """The role of callers without a credential is dropped from a token like an unknown one."""
    found = _identity(claims(roles=["Nobody", "Clerk"]))
    assert (found.principal.roles, found.dropped_roles) == (("Clerk",), ("Nobody",))


def test_a_role_that_crosses_tenants_is_the_platforms_alone() -> None:
    """Even an issuer trusted for everything cannot make a tenant's user one who crosses tenants."""
    assert _refused(claims(roles=["Root"])).reason == Reason.ROLE
    assert _identity(claims(roles=["Root"], tenant_id="platform")).principal.roles == ("Root",)


def test_claims_can_have_other_names() -> None:
    """An issuer's own names for tenant and roles are read, and ours are then nothing."""
    trusted = trust(source(tenant_claim="org", roles_claim="groups"), [])
    found = _identity({**claims(tenant_id="globex", roles=["Boss"]), "org": "acme", "groups": ["Clerk"]}, trusted)
    assert (found.principal.tenant_id, found.principal.roles) == ("acme", ("Clerk",))


@given(st.dictionaries(st.sampled_from(sorted(claims())), st.one_of(st.none(), st.text(), st.integers(), st.floats())))
def test_any_claims_are_somebody_or_refused(changes: dict[str, Any]) -> None:
    """No value of any claim raises anything but a refusal, and whoever comes out is well formed."""
    try:
        found = _identity({**claims(), **changes})
    except TokenRefused:
        return
    assert is_tenant(found.principal.tenant_id)
    assert is_id(found.principal.sub)
    assert found.expires_at > NOW


def test_what_somebody_else_says_of_a_subject_is_bounded_alike() -> None:
    """The same roles, whoever asserts them in the issuer's name."""
    trusted = trust(source(roles=("Clerk",)), [])
    assert granted(["shop_agent", "unknown"], "acme", trusted, catalogue()) == Grant(("Clerk",), ("unknown",))
    assert granted(["Boss"], "acme", trusted, catalogue()) is None
    assert granted(["Root"], "acme", trust(source(), []), catalogue()) is None
    assert granted(["Root"], "platform", trust(source(), []), catalogue()) == Grant(("Root",))
