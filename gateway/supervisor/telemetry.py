"""Whether spans are told of: the exporter, made and imported only where `telemetry` is configured."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from audit.private_file import read_private
from gateway.supervisor.errors import StartRefused
from gateway.telemetry_settings import TelemetrySettings

if TYPE_CHECKING:
    from gateway.telemetry.exporter import Exporter


def start_telemetry(
    settings: TelemetrySettings, version: str, node: str, registry: CollectorRegistry
) -> "Exporter | None":
    """Begin to send spans.

    Args:
        settings: The section `telemetry`.
        version: Of this program.
        node: Of this machine.
        registry: Where it is counted.

    Returns:
        What takes them; None where no endpoint is configured.

    Raises:
        StartRefused: The extra is not installed, or a file of the section cannot be used.
    """
    if settings.endpoint is None:
        return None
    headers = checked_telemetry(settings)
    from gateway.telemetry.exporter import Exporter
    from gateway.telemetry.metrics import TelemetryMetrics
    from gateway.telemetry.spans import SpanMaker

    return Exporter(settings, SpanMaker(settings.service_name, version, node), TelemetryMetrics(registry), headers)


def checked_telemetry(settings: TelemetrySettings) -> dict[str, str]:
    """The fields to send along with spans, when everything the section names can be used.

    Raises:
        StartRefused: As `start_telemetry`; nothing of a file is in the text.
    """
    if settings.endpoint is None:
        return {}
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
        raise StartRefused("telemetry.endpoint is configured, and the extra is not installed: lychgate[otel]")
    if settings.ca_file is not None and not settings.ca_file.is_file():
        raise StartRefused(f"telemetry.ca_file: {settings.ca_file}: there is no such file")
    return _headers(settings.headers_file) if settings.headers_file is not None else {}


def _headers(file: Path) -> dict[str, str]:
    try:
        lines = read_private(file).decode("ascii").splitlines()
    except OSError as exc:
        raise StartRefused(f"telemetry.headers_file: {file}: cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError:
        raise StartRefused(f"telemetry.headers_file: {file}: not ASCII") from None
    found = {}
    for number, line in enumerate(lines, 1):
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon or not name.strip().replace("-", "").isalnum():
            raise StartRefused(f"telemetry.headers_file: {file}:{number}: not `name: value`")
        found[name.strip().lower()] = value.strip()
    return found
