"""What a newcomer is given: tokens and requests that the policies agree with."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from joserfc import jwt

from lychgate.errors import ConfigurationError
from lychgate.findings import catalogue_of
from lychgate.tokens import DevelopmentIssuer
from lychgate.up import offer
from policies.origin import Origin

ROOT = Path(__file__).parents[3]
CATALOGUE = catalogue_of(ROOT / "roles/roles.toml")


def test_every_role_a_token_can_carry_gets_one(tmp_path: Path) -> None:
    """Each claims its role and the sample tenant; the one that crosses tenants belongs to the platform."""
    issuer = DevelopmentIssuer.open(tmp_path, lambda: datetime.now(UTC))
    given = offer.tokens(issuer, CATALOGUE, 60)
    assert list(given) == [name for name in CATALOGUE.names if name != CATALOGUE.anonymous]
    for role, token in given.items():
        claims = jwt.decode(token, issuer.key).claims
        assert claims["roles"] == [role]
        assert claims["tenant_id"] == ("platform" if role == "SuperAdmin" else "acme")


def test_tokens_are_kept_for_their_owner_only(tmp_path: Path) -> None:
    """A folder 0700, files 0600, also when they were there before."""
    folder = tmp_path / "tokens"
    for token in ("one", "two"):
        files = offer.keep_tokens(folder, {"Cashier": token})
        assert files["Cashier"].read_text() == token
    assert folder.stat().st_mode & 0o777 == 0o700
    assert files["Cashier"].stat().st_mode & 0o777 == 0o600


def test_the_three_requests_follow_the_policies() -> None:
    """The least role that sells makes the sale and is refused the refund; the least that sees all reads the audit."""
    allow, refusal, audit = offer.requests(Origin(ROOT / "policies"), CATALOGUE)
    assert (allow.role, refusal.role, audit.role) == ("Cashier", "Cashier", "Support")
    line = refusal.line("http://g", Path("/t"))
    assert line.startswith("curl ")
    assert "\n" not in line
    assert "$(cat /t)" in line
    assert audit.line("http://g", Path("/t o")).endswith(" $(cat '/t o')\" 'http://g/audit/events?limit=5'".lstrip())


def test_policies_that_allow_nobody_have_nothing_to_show(tmp_path: Path) -> None:
    """Said, instead of a line that does not do what it says."""
    schema = (ROOT / "policies/schema.cedarschema").read_text()
    (tmp_path / "schema.cedarschema").write_text(schema)
    (tmp_path / "none.cedar").write_text('@id("none") @reason("none") forbid (principal, action, resource);')
    with pytest.raises(ConfigurationError, match="let no role do order:create"):
        offer.requests(Origin(tmp_path), CATALOGUE)
