"""Where `telemetry` is configured and where it is not."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from gateway.supervisor import telemetry
from gateway.supervisor.errors import StartRefused
from gateway.supervisor.telemetry import start_telemetry
from gateway.telemetry_settings import TelemetrySettings

HERE = "http://127.0.0.1:1/v1/traces"
ROOT = Path(__file__).parents[3]


def test_nothing_is_loaded_where_nothing_is_configured() -> None:
    """Neither by the supervisor's modules nor by being asked to start; redis-py looks for OpenTelemetry by itself."""
    program = (
        "import sys; import gateway.supervisor.app as app; from prometheus_client import CollectorRegistry as R\n"
        "from gateway.telemetry_settings import TelemetrySettings\n"
        "registry = R(); print(app.start_telemetry(TelemetrySettings(), '1', 'n', registry), list(registry.collect()),"
        " [name for name in sys.modules"
        " if name.startswith(('opentelemetry.exporter', 'requests', 'gateway.telemetry.'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "None [] []\n"


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setattr(telemetry, "find_spec", lambda _: None)
    with pytest.raises(StartRefused, match=r"lychgate\[otel\]"):
        start_telemetry(TelemetrySettings(endpoint=HERE), "1", "n", CollectorRegistry())


@pytest.mark.parametrize(
    ("mode", "text", "words"),
    [
        (0o644, "key: hunter2\n", "headers: cannot be read: others may read or write it"),
        (0o600, "key hunter2\n", "headers:1: not `name: value`"),
        (0o600, "\nke y: hunter2\n", "headers:2: not `name: value`"),
        (0o600, "clé: hunter2\n", "headers: not ASCII"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, mode: int, text: str, words: str) -> None:
    """And nothing of it."""
    file = tmp_path / "headers"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(StartRefused, match=words) as refused:
        start_telemetry(TelemetrySettings(endpoint=HERE, headers_file=file), "1", "n", CollectorRegistry())
    assert "hunter2" not in str(refused.value)


def test_an_authority_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Before the first span is lost to it."""
    with pytest.raises(StartRefused, match=r"ca_file: .*ca\.pem: there is no such file"):
        start_telemetry(TelemetrySettings(endpoint=HERE, ca_file=tmp_path / "ca.pem"), "1", "n", CollectorRegistry())
