"""What is wrong with the files a configuration names."""

import json
from pathlib import Path

import pytest

from audit.integrity.keys import make_seal_key
from lychgate.errors import ConfigurationError
from lychgate.findings import catalogue_of, configuration_findings, policy_findings, require_known_roles
from lychgate.settings import load
from roles.security_context.keys import new_private_jwk
from tests.builders.certificates import Authority
from tests.builders.private import private

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


def test_the_keys_of_the_seals_are_looked_at(tmp_path: Path) -> None:
    """One that is not there, one that others may read, and a public key that is none."""
    key = tmp_path / "seal.pem"
    settings = load(ROOT / "lychgate.yaml", {"LYCHGATE_AUDIT__INTEGRITY__KEY_FILE": str(key)})
    (finding,) = configuration_findings(settings)
    assert finding == f"audit.integrity: {key}: cannot be read: No such file or directory"
    make_seal_key(key)
    assert configuration_findings(settings) == []
    key.chmod(0o644)
    (finding,) = configuration_findings(settings)
    assert "others may read or write it" in finding
    settings = load(ROOT / "lychgate.yaml", {"LYCHGATE_AUDIT__INTEGRITY__PUBLIC_KEYS": json.dumps([str(ROLES)])})
    (finding,) = configuration_findings(settings)
    assert finding == f"audit.integrity: {ROLES}: no PEM of a public key"


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


def test_a_shadow_set_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """With file and line, as the live one; and a folder that is not there."""
    for file in (ROOT / "policies").glob("*.cedar*"):
        (tmp_path / file.name).write_text(file.read_text())
    config = tmp_path / "lychgate.yaml"
    config.write_text((ROOT / "lychgate.yaml").read_text() + f"\nshadow: {{folder: {tmp_path}}}\n")
    assert configuration_findings(load(config, {})) == []
    (tmp_path / "data.cedar").write_text("permit (nonsense);\n")
    (found,) = configuration_findings(load(config, {}))
    assert found.startswith(f"shadow: {tmp_path}/data.cedar:1: ")
    config.write_text((ROOT / "lychgate.yaml").read_text() + f"\nshadow: {{folder: {tmp_path}/gone}}\n")
    with pytest.raises(ConfigurationError, match=r"/gone: there is no such folder"):
        configuration_findings(load(config, {}))


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


def test_the_decision_apis_files_are_looked_at(tmp_path: Path) -> None:
    """One that is not there, and a name that leads nowhere; the section is named."""
    environment = {"LYCHGATE_DECISION_API__ENTITIES": str(tmp_path / "entities.json")}
    (finding,) = configuration_findings(load(ROOT / "lychgate.yaml", environment))
    assert finding == f"decision_api: {tmp_path}/entities.json: cannot be read: No such file or directory"
    environment = {"LYCHGATE_DECISION_API__TYPES": json.dumps({"person": "Usr"})}
    (finding,) = configuration_findings(load(ROOT / "lychgate.yaml", environment))
    assert finding == "decision_api: types.person: the schema declares no entity type `Usr`"


def test_what_redis_needs_is_looked_at(tmp_path: Path) -> None:
    """The fleet's key and the password, before a gateway is started with them."""
    key, password = tmp_path / "key", tmp_path / "password"
    section = {"url": "redis://a", "fleet_key_file": str(key), "password_file": str(password)}
    settings = load(ROOT / "lychgate.yaml", {"LYCHGATE_REDIS": json.dumps(section)})
    assert configuration_findings(settings) == [f"redis: {key}: cannot be read: No such file or directory"]
    private(key, "short")
    assert configuration_findings(settings) == [f"redis: {key}: shorter than 32 bytes"]
    private(key, "k" * 64)
    assert configuration_findings(settings) == [f"redis: {password}: cannot be read: No such file or directory"]
    private(password, "").write_bytes(b"\xff")
    assert configuration_findings(settings) == [f"redis: {password}: cannot be read: not UTF-8"]
    password.write_text("s3cret")
    assert configuration_findings(settings) == []


def test_the_brokers_files_are_looked_at(tmp_path: Path) -> None:
    """A certificate of the authority that is not there is named with its key; without a broker nobody looks."""
    given = {
        "LYCHGATE_AUDIT__KAFKA__SECURITY_PROTOCOL": "SSL",
        "LYCHGATE_AUDIT__KAFKA__TLS__CA_FILE": str(tmp_path / "ca.pem"),
    }
    assert configuration_findings(load(ROOT / "lychgate.yaml", given)) == []
    given["LYCHGATE_AUDIT__KAFKA__BOOTSTRAP_SERVERS"] = "kafka:9093"
    assert configuration_findings(load(ROOT / "lychgate.yaml", given)) == [
        f"audit.kafka.tls.ca_file: {tmp_path}/ca.pem: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("days", "tenants", "found"), [("30", "{}", False), ("7", "{}", True), ("7", '{"a": 60}', False)]
)
def test_weeks_for_rows_that_no_purge_would_leave_are_a_finding(days: str, tenants: str, found: bool) -> None:
    """Partitions are made no further back than some row is kept."""
    retention = {"AUDIT_RETENTION_DAYS": days, "LYCHGATE_AUDIT__RETENTION__TENANTS": tenants}
    findings = configuration_findings(load(None, retention))
    assert any(finding.startswith("store.keep_days: 28") for finding in findings) is found


def test_secrets_that_would_be_written_are_a_finding() -> None:
    """Mode `off` is for development: whoever checks a configuration is told."""
    settings = load(ROOT / "lychgate.yaml", {"LYCHGATE_AUDIT__REDACTION__MODE": "off"})
    (finding,) = configuration_findings(settings)
    assert finding.startswith("audit.redaction.mode: `off` writes events as they come, secrets and all")


def test_key_files_and_telemetry_are_looked_at(tmp_path: Path) -> None:
    """A key that others may read, and a file of fields that is not there; each with its place."""
    key = tmp_path / "context.jwk"
    key.write_text(new_private_jwk())
    key.chmod(0o644)
    settings = load(ROOT / "lychgate.yaml", {"LYCHGATE_CONTEXT__KEY_FILE": str(key)})
    (finding,) = configuration_findings(settings)
    assert finding.startswith(f"{key}: others may read or write it (mode 0644); `chmod ")
    told = {
        "LYCHGATE_TELEMETRY__ENDPOINT": "https://collector.example/v1/traces",
        "LYCHGATE_TELEMETRY__HEADERS_FILE": str(tmp_path / "headers"),
    }
    (finding,) = configuration_findings(load(ROOT / "lychgate.yaml", told))
    assert finding == f"telemetry.headers_file: {tmp_path / 'headers'}: cannot be read: No such file or directory"
