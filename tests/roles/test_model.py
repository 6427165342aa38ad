"""The principal and the roles it is granted."""

import pytest

from roles.model import Principal, is_tenant


def test_two_issuers_never_speak_for_the_same_principal() -> None:
    """The uid has issuer, tenant and subject; another issuer's `u` is another user."""
    one, two = Principal("a", "acme", "u", ()), Principal("b", "acme", "u", ())
    assert one.uid.id == "a/acme/u"
    assert one.uid != two.uid


@pytest.mark.parametrize("name", ["a", "acme", "0", "a-b-c", "a" * 63])
def test_a_tenant_is_a_dns_label(name: str) -> None:
    """Lower case, digits, dashes, at most 63."""
    assert is_tenant(name)


@pytest.mark.parametrize("name", ["", "-", "-a", "A", "a_b", "a.b", "a/b", "a" * 64, "a\n", "é"])
def test_what_is_not_a_tenant(name: str) -> None:
    """Nothing that could be taken for a path, a header or the mark of no tenant."""
    assert not is_tenant(name)
