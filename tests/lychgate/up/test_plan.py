"""From the configuration to processes, ports and variables; and back into the same configuration."""

import socket
from pathlib import Path

import pytest

from lychgate.errors import PortBusy
from lychgate.settings import Settings, load
from lychgate.up import plan

ROOT = Path(__file__).parents[3]
PORTS = plan.Ports(1, 2, 3, 4, {"product": 5, "order": 6})


def settings(**environment: str) -> Settings:
    """The repository's configuration with these variables."""
    return load(ROOT / "lychgate.yaml", environment)


def store() -> plan.Store:
    """A store somewhere."""
    return plan.Store(7, *(plan.Login(name, Path(f"/{name}")) for name in ("o", "w", "r", "k")))


def test_the_variables_make_the_planned_configuration() -> None:
    """What a process reads is what was planned: ports, issuer, services, keys, logins."""
    told = plan.variables(settings(), PORTS, "Machine") | plan.store_variables(store())
    read = load(ROOT / "lychgate.yaml", told)
    assert (read.gateway.port, read.ops.port, read.query.port, read.up.issuer_port) == (1, 2, 3, 4)
    assert read.issuers[0].iss == "http://127.0.0.1:4"
    assert read.issuers[0].jwks_url == "http://127.0.0.1:4/.well-known/jwks.json"
    assert read.services["order"].addresses == ("127.0.0.1:6",)
    assert read.services["audit"].addresses == ("127.0.0.1:3",)
    assert read.samples.ports.order == 6
    assert read.samples.trust.jwks_url == read.query.jwks_url == "http://127.0.0.1:2/.well-known/jwks.json"
    assert read.samples.onward.machine.role == "Machine"
    assert (read.store.port, read.store.reader.user, read.store.reader.password_file) == (7, "r", Path("/r"))


def test_no_variable_is_unknown_to_the_configuration() -> None:
    """`load` refuses unknown variables, so a renamed key would show here; nothing secret is among them."""
    told = plan.variables(settings(), PORTS, "Machine") | plan.store_variables(store())
    assert not [name for name in told if name.endswith("PASSWORD")]
    load(None, told)


def test_other_issuers_stay_and_the_development_issuer_keeps_its_limits() -> None:
    """Only where the development issuer is changes."""
    issuers = (
        '[{"name": "corp", "iss": "c", "jwks_url": "https://c/jwks",'
        ' "audiences": ["a"], "tenants": ["t"], "roles": ["*"]},'
        ' {"name": "dev", "iss": "x", "jwks_file": "k", "audiences": ["b"], "tenants": ["acme"], "roles": ["*"]}]'
    )
    told = plan.variables(settings(LYCHGATE_ISSUERS=issuers), PORTS, "Machine")
    corp, dev = load(ROOT / "lychgate.yaml", told).issuers
    assert corp.jwks_url == "https://c/jwks"
    assert (dev.iss, dev.tenants, dev.jwks_file) == ("http://127.0.0.1:4", ("acme",), None)


def test_the_state_moves_with_its_folder_and_configured_paths_stay() -> None:
    """Defaults below .lychgate go to the new folder; a path somebody chose is theirs."""
    told = plan.variables(
        settings(LYCHGATE_UP__STATE_FOLDER="/s", LYCHGATE_CONTEXT__KEY_FILE="/mine.jwk"), PORTS, "Machine"
    )
    assert told["LYCHGATE_AUDIT__SPOOL__FOLDER"] == "/s/spool"
    assert told["LYCHGATE_AUDIT__INTEGRITY__KEY_FILE"] == "/s/keys/audit-seal.pem"
    assert told["LYCHGATE_AUDIT__INTEGRITY__CHECKPOINT_FILE"] == "/s/integrity/checkpoints.jsonl"
    assert told["LYCHGATE_REVOCATION__FOLDER"] == "/s/revocations"
    assert "LYCHGATE_CONTEXT__KEY_FILE" not in told


def test_every_zero_gets_a_free_port_of_its_own() -> None:
    """No two are the same; with `free`, configured ports are not even looked at."""
    chosen = plan.choose_ports(settings(), free=True)
    everything = [chosen.gateway, chosen.ops, chosen.query, chosen.issuer, *chosen.services.values()]
    assert len(set(everything)) == len(everything) == 11
    assert 8080 not in everything


def test_a_taken_service_port_is_named() -> None:
    """The message says which service wanted it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        zeros = {f"LYCHGATE_{name}": "0" for name in ("GATEWAY__PORT", "OPS__PORT", "QUERY__PORT", "UP__ISSUER_PORT")}
        zeros |= {f"LYCHGATE_SAMPLES__PORTS__{name}": "0" for name in ("PRODUCT", "ORDER", "INVENTORY", "PAYMENT")}
        zeros |= {"LYCHGATE_SAMPLES__PORTS__LOYALTY": str(port)}
        with pytest.raises(PortBusy, match=f"port {port} .loyalty service."):
            plan.choose_ports(settings(**zeros), free=False)


def test_a_broker_adds_the_consumer() -> None:
    """Without one the gateway writes directly, and there is nothing to consume."""
    plain = plan.children(settings(), PORTS, None)
    kafka = plan.children(settings(KAFKA_BOOTSTRAP_SERVERS="k:1"), PORTS, Path("f.yaml"))
    assert [spec.name for spec in kafka] == [*(spec.name for spec in plain), "consumer"]
    assert kafka[0].command[-2:] == ("--config", "f.yaml")
