"""A secret that others may read stops whoever would use it, with exit code 2, and `config check` says so before."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from audit.integrity.keys import make_seal_key
from gateway.service_settings import default_services
from lychgate.findings import configuration_findings
from lychgate.settings import load
from roles.security_context.keys import new_private_jwk
from tests.builders import command
from tests.builders.authority import Authority
from tests.builders.private import private

ROOT = Path(__file__).parents[2]
SECRET = "hunter2-is-32-bytes-long-at-least-0"
KAFKA = {"bootstrap_servers": "127.0.0.1:9", "security_protocol": "SASL_SSL"}
SASL = {"mechanism": "PLAIN", "username": "u"}
SEARCH = {"url": "https://127.0.0.1:9"}
REDIS = {"url": "redis://127.0.0.1:1", "fleet_key_file": "good"}
CASES: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("bad", {"store": {"owner": {"password_file": "bad"}}}, ("migrate",)),
    ("bad", {"store": {"writer": {"password_file": "bad"}}}, ("gateway",)),
    ("bad", {"store": {"writer": {"password_file": "bad"}}}, ("relay",)),
    ("bad", {"store": {"keeper": {"password_file": "bad"}}}, ("audit", "purge")),
    ("bad", {"store": {"reader": {"password_file": "bad"}}}, ("query",)),
    (
        "bad",
        {"store": {"owner": {"password_file": "bad"}}, "audit": {"integrity": {"key_file": "seal.pem"}}},
        ("audit", "verify"),
    ),
    ("bad", {"audit": {"outbox": {"dsn_file": "bad"}}}, ("audit", "outbox", "status")),
    ("bad", {"audit": {"kafka": {**KAFKA, "sasl": {**SASL, "password_file": "bad"}}}}, ("consumer",)),
    (
        "us.key",
        {
            "audit": {
                "kafka": {
                    **KAFKA,
                    "security_protocol": "SSL",
                    "tls": {"cert_file": "us.pem", "key_file": "us.key"},
                }
            }
        },
        ("relay",),
    ),
    ("bad", {"audit": {"sinks": {"search": {**SEARCH, "user": "u", "password_file": "bad"}}}}, ("gateway",)),
    ("bad", {"redis": {**REDIS, "fleet_key_file": "bad"}}, ("gateway",)),
    ("bad", {"redis": {**REDIS, "password_file": "bad"}}, ("gateway",)),
    (
        "us.key",
        {"redis": {**REDIS, "url": "rediss://127.0.0.1:1", "cert_file": "us.pem", "cert_key_file": "us.key"}},
        ("gateway",),
    ),
    ("us.key", {"gateway": {"tls": {"cert_file": "us.pem", "key_file": "us.key"}}}, ("gateway",)),
    (
        "us.key",
        {"services": {"order": {"urls": ["https://o:1"], "tls": {"cert_file": "us.pem", "key_file": "us.key"}}}},
        ("gateway",),
    ),
    ("both.pem", {"services": {"order": {"urls": ["https://o:1"], "tls": {"cert_file": "both.pem"}}}}, ("gateway",)),
    ("bad", {"decision_api": {"page_key_file": "bad"}}, ("gateway",)),
    ("bad", {"telemetry": {"endpoint": "https://c:1/", "headers_file": "bad"}}, ("gateway",)),
    ("bad.jwk", {"context": {"key_file": "bad.jwk"}}, ("gateway",)),
    ("bad.jwk", {"query": {"context_secret_file": "bad.jwk"}}, ("query",)),
    ("bad.jwk", {"samples": {"trust": {"secret_files": {"order": "bad.jwk"}}}}, ("service", "order")),
    ("bad", {"samples": {"onward": {"machine": {"token_file": "bad"}}}}, ("service", "order")),
]


@pytest.fixture(autouse=True)
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules, and secrets as they should be."""
    monkeypatch.chdir(tmp_path)
    for name in ("policies", "roles", "routes.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    signed = Authority().sign("us")
    signed.files(tmp_path, "us")
    private(tmp_path / "both.pem", f"{signed.cert}{signed.key}")
    for name in ("good", "bad"):
        private(tmp_path / name, SECRET)
    private(tmp_path / "bad.jwk", new_private_jwk("HS256"))
    make_seal_key(tmp_path / "seal.pem")


def configured(given: dict[str, Any]) -> None:
    """Write the configuration."""
    base: dict[str, Any] = {"gateway": {"port": 0}, "ops": {"port": 0}, "samples": {"ports": {"order": 0}}}
    merged = {key: {**base.get(key, {}), **given.get(key, {})} for key in {*base, *given}}
    Path("lychgate.yaml").write_text(json.dumps(merged))


def shown(text: str) -> list[str]:
    """Parts of secrets that stand in a text."""
    lines = [SECRET, json.loads(Path("bad.jwk").read_text())["k"]]
    lines += [line for name in ("us.key", "both.pem", "seal.pem") for line in Path(name).read_text().splitlines()[1:-1]]
    return [line for line in lines if line in text]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("file", "given", "words"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_it_stops_whoever_would_use_it(file: str, given: dict[str, Any], words: tuple[str, ...]) -> None:
    """With the path, the mode and what mends it; never with what is in it."""
    configured(given)
    Path(file).chmod(0o644)
    done = command.run(*words)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert re.search(
        rf"\b{file}: (cannot be \w+: )?others may read or write it \(mode 0644\); `chmod 6.0 {file}`", said
    )
    assert shown(said) == []


def test_the_check_says_it_of_all_of_them() -> None:
    """Each once, whoever would read it; when all are mended, nothing is left to say."""
    names = [
        "owner",
        "writer",
        "reader",
        "keeper",
        "dsn",
        "sasl",
        "search",
        "fleet",
        "redis",
        "page",
        "cursor",
        "token",
    ]
    for name in names:
        private(Path(name), SECRET)
    private(Path("page"), "A" * 43 + "=")
    private(Path("cursor"), "A" * 43 + "=")
    pair = {"cert_file": "us.pem", "key_file": "us.key"}
    configured(
        {
            "store": {name: {"password_file": name} for name in ("owner", "writer", "reader", "keeper")},
            "audit": {
                "outbox": {"dsn_file": "dsn"},
                "kafka": {**KAFKA, "sasl": {**SASL, "password_file": "sasl"}},
                "sinks": {"search": {**SEARCH, "user": "u", "password_file": "search"}},
                "integrity": {"key_file": "seal.pem"},
            },
            "redis": {**REDIS, "fleet_key_file": "fleet", "password_file": "redis"},
            "gateway": {"tls": pair},
            "services": {
                **{name: each.model_dump(mode="json", exclude_unset=True) for name, each in default_services().items()},
                "order": {"urls": ["https://o:1"], "tls": {"cert_file": "both.pem"}},
            },
            "decision_api": {"page_key_file": "page"},
            "query": {"cursor_key_file": "cursor", "context_secret_file": "bad.jwk"},
            "samples": {"onward": {"machine": {"token_file": "token"}}},
        }
    )
    files = [*names, "seal.pem", "us.key", "both.pem", "bad.jwk"]
    for name in files:
        Path(name).chmod(0o604)
    findings = configuration_findings(load(Path("lychgate.yaml"), {}))
    for name in files:
        # what judges two files stops at the first: it is found when that one is mended
        said = [finding for finding in findings if re.search(rf"\b{name}: .*mode 0604\); `chmod 600 {name}`", finding)]
        assert len(said) == 1, (name, findings)
    assert shown("".join(findings)) == []
    for name in files:
        Path(name).chmod(0o600)
    assert configuration_findings(load(Path("lychgate.yaml"), {})) == []
