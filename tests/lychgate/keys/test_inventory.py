"""Every key there is, and nothing of a key."""

import base64
import json
import os
from pathlib import Path
from typing import Any

from cryptography import x509

from audit.integrity.keys import make_seal_key
from lychgate.keys.inventory import inventory, key_findings, open_findings
from lychgate.settings import Settings, load
from lychgate.up.settings import SEAL_KEY
from roles.security_context.key_ring import KeyRing
from roles.security_context.keys import new_private_jwk
from tests.builders.authority import Authority
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


def test_the_seal_key_that_up_has_made_is_listed(tmp_path: Path) -> None:
    """Nothing configures it, and whoever backs keys up must know of it all the same."""
    assert "seal" not in {row.kind for row in inventory(settings(tmp_path), NOW)}
    (tmp_path / "keys").mkdir()
    make_seal_key(tmp_path / SEAL_KEY)
    [row] = [row for row in inventory(settings(tmp_path), NOW) if row.kind == "seal"]
    assert (row.kid != "", row.state, row.mode, row.used_by) == (True, "current", "0600", "up")


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


def test_what_up_made_by_itself_is_listed(tmp_path: Path) -> None:
    """Below the state folder, wherever that is; where the configuration names the same file, once."""
    make_seal_key(tmp_path / "keys" / "audit-seal.pem")
    private(tmp_path / "keys" / "context.jwk", new_private_jwk())
    private(tmp_path / "postgres" / "owner.password", "hush")
    file = tmp_path / "lychgate.yaml"
    file.write_text(json.dumps({"up": {"state_folder": str(tmp_path)}}))
    rows = [row for row in inventory(load(file, {}), NOW) if Path(row.file).is_relative_to(tmp_path)]
    assert [(row.kind, row.used_by, row.setting, row.verdict, bool(row.kid)) for row in rows] == [
        ("context", "up", "", "private", True),
        ("seal", "up", "", "private", True),
        ("password", "up", "", "private", False),
    ]
    assert "hush" not in repr(rows)
    named = {"audit": {"integrity": {"key_file": str(tmp_path / "keys" / "audit-seal.pem")}}}
    file.write_text(json.dumps({"up": {"state_folder": str(tmp_path)}, **named}))
    (seal,) = [row for row in inventory(load(file, {}), NOW) if row.kind == "seal"]
    assert seal.setting == "audit.integrity.key_file"


def test_the_certificate_says_of_its_key_which_it_is_and_when_it_holds(tmp_path: Path) -> None:
    """Its state is that of the certificate; without one that can be read, the file is listed all the same."""
    cert, key = Authority().sign("us").files(tmp_path, "us")
    found = settings(tmp_path, gateway={"tls": {"cert_file": str(cert), "key_file": str(key)}})
    dates = x509.load_pem_x509_certificate(cert.read_bytes())
    begins, ends = dates.not_valid_before_utc.timestamp(), dates.not_valid_after_utc.timestamp()
    for now, state in ((begins - 1, "next"), (begins, "current"), (ends, "over")):
        (row,) = [row for row in inventory(found, now) if row.kind == "tls"]
        assert (row.state, row.alg, len(row.kid), row.verdict) == (state, "EC-secp256r1", 16, "private")
        assert row.believed_until == f"{dates.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    key.chmod(0o644)
    (row,) = [row for row in inventory(found, begins) if row.kind == "tls"]
    assert (row.state, row.verdict) == ("unusable", "open")
    assert "mode 0644" in row.problem
    cert.write_text("x")
    (row,) = [row for row in inventory(found, begins) if row.kind == "tls"]
    assert (row.kid, row.signs_from, row.believed_until) == ("", "", "")


def test_passwords_are_listed_and_another_processes_are_not_missed(tmp_path: Path) -> None:
    """One that is not here may be on another machine; one that others may read is a fault wherever it is."""
    private(tmp_path / "writer", "hush").chmod(0o604)
    logins = {name: {"password_file": str(tmp_path / name)} for name in ("owner", "writer")}
    rows = [row for row in inventory(settings(tmp_path, store=logins), NOW) if row.kind == "password"]
    assert [(row.setting, row.used_by, row.state, row.verdict) for row in rows] == [
        ("store.owner.password_file", "migrate", "missing", ""),
        ("store.writer.password_file", "gateway, relay or consumer", "unusable", "open"),
    ]
    assert rows[0].problem == ""
    ((_, said),) = open_findings(settings(tmp_path, store=logins), NOW)
    assert said.startswith(
        f"store.writer.password_file: {tmp_path / 'writer'}: others may read or write it (mode 0604)"
    )
