"""Every key there is, and nothing of a key."""

import base64
import json
import os
from pathlib import Path
from typing import Any

from audit.integrity.keys import make_seal_key
from lychgate.keys.inventory import inventory, key_findings
from lychgate.settings import Settings, load
from roles.security_context.key_ring import KeyRing
from roles.security_context.keys import new_private_jwk
from tests.builders.private import private

NOW = 1_800_000_000


def settings(folder: Path, **sections: Any) -> Settings:
    """A configuration whose files are all in a folder."""
    given = {
        "context": {"key_file": str(folder / "context.jwk")},
        "query": {"cursor_key_file": str(folder / "cursor.key")},
        "up": {"state_folder": str(folder)},
    }
    file = folder / "lychgate.yaml"
    file.write_text(json.dumps({**given, **sections}))
    return load(file, {})


def narrowed(file: Path) -> int:
    """The mode that a file of ours must have; where we are root, its group may read it."""
    return file.stat().st_mode & (0o640 if os.geteuid() == 0 else 0o600)


def test_every_kind_is_listed(tmp_path: Path) -> None:
    """With id, turn, file, mode and reader; no private half in any of it."""
    ring = KeyRing.parse(new_private_jwk()).rotated(NOW, alg="EdDSA", signs_from=NOW + 60, believed_until=NOW + 420)
    private(tmp_path / "context.jwk", ring.text())
    private(tmp_path / "cursor.key", base64.urlsafe_b64encode(bytes(32)).decode())
    private(tmp_path / "page.key", base64.urlsafe_b64encode(bytes(32)).decode())
    private(tmp_path / "issuer" / "key.jwk", new_private_jwk("ES256"))
    make_seal_key(tmp_path / "seal.pem")
    found = settings(
        tmp_path,
        decision_api={"page_key_file": str(tmp_path / "page.key")},
        audit={
            "integrity": {
                "key_file": str(tmp_path / "seal.pem"),
                "public_keys": [str(tmp_path / "seal.pem.pub")],
            }
        },
    )
    rows = inventory(found, NOW)
    assert [(row.kind, row.alg, row.state, row.mode) for row in rows] == [
        ("context", "EdDSA", "next", "0600"),
        ("context", "EdDSA", "current", "0600"),
        ("seal", "EdDSA", "current", "0600"),
        ("seal-public", "EdDSA", "current", "0644"),
        ("cursor", "HS256", "current", "0600"),
        ("page", "HS256", "current", "0600"),
        ("issuer", "ES256", "current", "0600"),
    ]
    assert [row.kid for row in rows[:2]] == [ring.keys[1].kid, ring.keys[0].kid]
    assert rows[0].signs_from == "2027-01-15T08:01:00Z"
    assert [row.made for row in rows[:2]] == ["2027-01-15T08:00:00Z", ""]
    assert rows[1].believed_until == "2027-01-15T08:07:00Z"
    assert rows[2].kid == rows[3].kid != ""
    assert [row.problem for row in rows] == [""] * 7
    assert all(json.loads(key.jwk)["d"] not in repr(rows) for key in ring.keys)
    assert [row.state for row in inventory(found, NOW + 60)[:2]] == ["current", "last"]
    assert [row.state for row in inventory(found, NOW + 420)[:2]] == ["current", "over"]
    assert key_findings(found, NOW) == []


def test_shared_secrets_are_listed_by_service(tmp_path: Path) -> None:
    """Each file once, though the query API has a name of its own for one."""
    files = {name: str(private(tmp_path / f"{name}.jwk", new_private_jwk("HS256"))) for name in ("order", "audit")}
    found = settings(
        tmp_path,
        context={"alg": "HS256", "hs256_key_files": files},
        query={"context_secret_file": files["audit"], "cursor_key_file": str(tmp_path / "cursor.key")},
    )
    rows = inventory(found, NOW)
    assert [(row.kind, row.used_by) for row in rows] == [
        ("context", "gateway, order"),
        ("context", "gateway, audit"),
        ("cursor", "query"),
    ]


def test_keys_of_the_fleet_and_of_tls_are_listed(tmp_path: Path) -> None:
    """Each with its file and mode; one that is not there is said."""
    for name in ("fleet", "front.key", "redis.key", "kafka.key"):
        private(tmp_path / name, "hush")
    front = {"cert_file": str(tmp_path / "front"), "key_file": str(tmp_path / "front.key")}
    found = settings(
        tmp_path,
        gateway={"tls": front},
        redis={
            "url": "rediss://r:6380",
            "fleet_key_file": str(tmp_path / "fleet"),
            "cert_file": str(tmp_path / "redis"),
            "cert_key_file": str(tmp_path / "redis.key"),
        },
        services={
            "order": {
                "urls": ["https://o:8443"],
                "tls": {"cert_file": str(tmp_path / "order"), "key_file": str(tmp_path / "order.key")},
            }
        },
        audit={
            "kafka": {
                "bootstrap_servers": "k:9093",
                "security_protocol": "SSL",
                "tls": {"cert_file": str(tmp_path / "kafka"), "key_file": str(tmp_path / "kafka.key")},
            }
        },
    )
    rows = [row for row in inventory(found, NOW) if row.kind in {"fleet", "tls"}]
    assert [(row.kind, Path(row.file).name, row.mode, row.problem) for row in rows] == [
        ("fleet", "fleet", "0600", ""),
        ("tls", "front.key", "0600", ""),
        ("tls", "redis.key", "0600", ""),
        ("tls", "order.key", "", "No such file or directory"),
        ("tls", "kafka.key", "0600", ""),
    ]
    assert "hush" not in repr(rows)


def test_what_cannot_be_used_is_a_finding_with_its_place(tmp_path: Path) -> None:
    """Others may read it; it is for another algorithm; it is not there and nobody makes it. What is made is none."""
    found = settings(tmp_path)
    assert [(row.kind, row.state, row.problem) for row in inventory(found, NOW)] == [
        ("context", "missing", ""),
        ("cursor", "missing", ""),
    ]
    assert key_findings(found, NOW) == []
    private(tmp_path / "context.jwk", new_private_jwk()).chmod(0o644)
    private(tmp_path / "cursor.key", "x").chmod(0o660)
    assert key_findings(found, NOW) == [
        f"{file}: others may read or write it (mode {file.stat().st_mode & 0o777:04o}); "
        f"`chmod {narrowed(file):o} {file}`, and think of a new secret"
        for file in (tmp_path / "context.jwk", tmp_path / "cursor.key")
    ]
    assert {row.state for row in inventory(found, NOW)} == {"unusable"}
    (tmp_path / "context.jwk").chmod(0o600)
    other = settings(tmp_path, context={"alg": "ES256", "key_file": str(tmp_path / "context.jwk")})
    assert key_findings(other, NOW)[0] == f"{tmp_path / 'context.jwk'}: a key in it is for EdDSA, not for ES256"
    missing = {"alg": "HS256", "hs256_key_files": {"order": str(tmp_path / "order.jwk")}}
    assert key_findings(settings(tmp_path, context=missing), NOW)[0] == (
        f"{tmp_path / 'order.jwk'}: No such file or directory"
    )
