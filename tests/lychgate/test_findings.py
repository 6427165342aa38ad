"""What is wrong with the files a configuration names."""

import json
from pathlib import Path

import pytest

from lychgate.errors import ConfigurationError
from lychgate.findings import catalogue_of, configuration_findings, policy_findings, require_known_roles
from lychgate.settings import load
from tests.builders.certificates import Authority

ROOT = Path(__file__).parents[2]
ROLES = ROOT / "roles/roles.toml"


def test_the_repository_is_in_order() -> None:
    """No finding in routes, roles and policies."""
    assert configuration_findings(load(ROOT / "lychgate.yaml", {})) == []


def test_a_broken_route_is_named(tmp_path: Path) -> None:
    """A route with an unknown action and service is found, with file and id."""
    routes = tmp_path / "routes.toml"
    routes.write_text(
        '[[route]]\nid = "odd"\nmethod = "GET"\npath = "/odd"\nservice = "nowhere"\naction = "order:sing"\n'
        'resource = { type = "Order" }\n'
    )
    settings = load(ROOT / "lychgate.yaml", {"LYCHGATE_GATEWAY__ROUTES_FILE": str(routes)})
    (finding,) = configuration_findings(settings)
    assert finding.startswith(f"{routes}:1: route `odd`: ")
    assert "`nowhere`" in finding
    assert "`order:sing`" in finding


def test_a_routes_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """Two routes for one request, and a file that is not there."""
    routes = tmp_path / "routes.toml"
    one = '[[route]]\nid = "{}"\nmethod = "GET"\npath = "/odd"\nservice = "order"\naction = "order:list"\n'
    one += 'resource = {{ type = "Order" }}\n'
    routes.write_text(one.format("a") + one.format("b"))
    environment = {"LYCHGATE_GATEWAY__ROUTES_FILE": str(routes)}
    (finding,) = configuration_findings(load(ROOT / "lychgate.yaml", environment))
    assert "`a`" in finding
    assert "`b`" in finding
    routes.unlink()
    with pytest.raises(ConfigurationError, match=r"routes\.toml: cannot be read"):
        configuration_findings(load(ROOT / "lychgate.yaml", environment))


def test_a_services_certificates_are_looked_at(tmp_path: Path) -> None:
    """One that is not there, and one that is none; the service is named."""
    service = {"urls": ["https://127.0.0.1:1"], "tls": {"ca_file": str(tmp_path / "ca.pem")}}
    settings = load(ROOT / "lychgate.yaml", {"LYCHGATE_SERVICES": json.dumps({"order": service})})
    (finding,) = configuration_findings(settings)
    assert "ca.pem: cannot be read" in finding
    (tmp_path / "ca.pem").write_text("nothing")
    (finding,) = configuration_findings(settings)
    assert finding.startswith("services.order.tls: ca_file holds no certificate")


def test_a_certificate_that_cannot_serve_is_named(tmp_path: Path) -> None:
    """A key of another certificate, and one that has expired: found before a restart finds it."""
    root = Authority()
    cert, key = root.server().write(tmp_path)
    environment = {"LYCHGATE_GATEWAY__TLS__CERT_FILE": str(cert), "LYCHGATE_GATEWAY__TLS__KEY_FILE": str(key)}
    settings = load(ROOT / "lychgate.yaml", environment)
    assert configuration_findings(settings) == []
    key.write_text(root.server().key_pem)
    (finding,) = configuration_findings(settings)
    assert finding == f"{cert}, {key}: certificate and key: key values mismatch"
    root.server(days=-1).write(tmp_path)
    (finding,) = configuration_findings(settings)
    assert finding.startswith(f"{cert}: holds from ")


def test_a_missing_policy_folder_and_catalogue_are_named(tmp_path: Path) -> None:
    """Neither is silently empty."""
    with pytest.raises(ConfigurationError, match="there is no such folder"):
        policy_findings(tmp_path / "nowhere", ROLES)
    with pytest.raises(ConfigurationError, match=r"roles\.toml: cannot be read"):
        catalogue_of(tmp_path / "roles.toml")
    (tmp_path / "roles.toml").write_text("[[role]]\n")
    with pytest.raises(ConfigurationError, match=r"roles\.toml"):
        catalogue_of(tmp_path / "roles.toml")


def test_roles_of_a_token_are_ours_or_mapped() -> None:
    """Our names and foreign ones pass; a typing error is met with the nearest."""
    require_known_roles(["Cashier", "member_agent"], ROLES)
    with pytest.raises(ConfigurationError, match="`Cashire`; the nearest is `Cashier`"):
        require_known_roles(["Cashire"], ROLES)
