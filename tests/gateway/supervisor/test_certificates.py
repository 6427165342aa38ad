"""The pair's files: read, checked, dated, watched."""

import datetime as dt
import os
from pathlib import Path

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from gateway.settings import TlsSettings
from gateway.supervisor.certificates import FileWatch, life_of, tls_source, utc
from gateway.supervisor.errors import StartRefused
from tests.builders.certificates import Authority

ROOT = Authority()
NOW = dt.datetime.now(dt.UTC)


def settings(folder: Path, **changes: object) -> TlsSettings:
    """Of a good pair in a folder."""
    cert, key = ROOT.server().write(folder)
    return TlsSettings(**{"cert_file": cert, "key_file": key, **changes})  # type: ignore[arg-type] # as read from YAML


def test_a_pair_becomes_a_source(tmp_path: Path) -> None:
    """With its texts, its switches and its end; without one there is none."""
    (tmp_path / "ca.pem").write_text(ROOT.pem)
    found = tls_source(
        settings(tmp_path, client_ca_file=tmp_path / "ca.pem", client_certificates="required", min_version="1.3"), NOW
    )
    assert found is not None
    assert (found.client_certificates, found.min_version, found.client_ca) == ("required", "1.3", ROOT.pem)
    assert found.private_key not in repr(found)
    assert abs(life_of(found.certificate).ends - (NOW + dt.timedelta(days=30)).timestamp()) < 3600
    assert tls_source(TlsSettings(), NOW) is None


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("server.key", "nonsense", "server.pem, .*server.key: certificate and key"),
        ("server.key", ROOT.server().key_pem, "mismatch"),
        ("server.key", None, "server.key: cannot be read"),
        ("server.pem", "nonsense", "certificate and key"),
        ("server.pem", "\u00fc", "server.pem: not PEM"),
    ],
)
def test_a_bad_pair_is_named(tmp_path: Path, file: str, content: str | None, words: str) -> None:
    """The text names the files, and holds nothing of the key."""
    given = settings(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(StartRefused, match=words) as refused:
        tls_source(given, NOW)
    assert "PRIVATE" not in str(refused.value)


@pytest.mark.parametrize("days", [-40, 40])
def test_one_that_does_not_hold_now_replaces_nothing(tmp_path: Path, days: int) -> None:
    """At a start it is served with, and said; in place of another it is refused."""
    given = settings(tmp_path)
    then = NOW + dt.timedelta(days=days)
    with capture_logs() as logs:
        assert tls_source(given, then) is not None
    assert [entry["event"] for entry in logs] == ["certificate_does_not_hold"]
    with pytest.raises(StartRefused, match=r"server\.pem: holds from .* to .*Z, not now"):
        tls_source(given, then, renewed=True)


def test_files_are_watched_through_links(tmp_path: Path) -> None:
    """Written to, replaced, gone, and back; or the folder that a link leads to is another."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        ROOT.server(name).write(tmp_path / name)
    link = tmp_path / "current"
    link.symlink_to("one")
    watch = FileWatch(TlsSettings(cert_file=link / "server.pem", key_file=link / "server.key"))
    assert not watch.changed()
    fresh = tmp_path / "fresh"
    fresh.symlink_to("two")
    os.replace(fresh, link)  # noqa: PTH105 - a link is replaced, not what it leads to
    assert watch.changed()
    assert not watch.changed()
    (tmp_path / "two" / "server.key").unlink()
    assert watch.changed()
    assert not watch.changed()
    (tmp_path / "two" / "server.key").write_text("other")
    assert watch.changed()


@pytest.mark.parametrize(
    "given",
    [
        {"cert_file": "a"},
        {"key_file": "a"},
        {"cert_file": "a", "key_file": "b", "client_ca_file": "c"},
        {"cert_file": "a", "key_file": "b", "client_certificates": "required"},
        {"client_ca_file": "c", "client_certificates": "optional"},
        {"cert_file": "a", "key_file": "b", "min_version": "1.1"},
        {"poll_s": 0},
    ],
)
def test_half_a_configuration_is_none(given: dict[str, object]) -> None:
    """A certificate without its key, authorities nobody is checked against, an old version."""
    with pytest.raises(ValidationError):
        TlsSettings(**given)  # type: ignore[arg-type] # as read from YAML


def test_a_clocks_seconds_are_utc() -> None:
    """Certificates' dates have a zone."""
    assert utc(0).isoformat() == "1970-01-01T00:00:00+00:00"
