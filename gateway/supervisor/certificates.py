"""The public port's certificate: files to `FrontTls`, checked; and whether the files have changed.

The supervisor alone reads them. A worker is sent what has passed the check, so that all serve with the same bytes, a
pair that is half replaced is never served with, and a worker that is started anew gets the pair that was good last
(ADR 0083).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import structlog
from cryptography import x509

from audit.private_file import read_private
from gateway.certificate_metrics import CertificateMetrics, Life
from gateway.serve.tls import TlsUnusable, server_context
from gateway.settings import TlsSettings
from gateway.sources import FrontTls, Sources
from gateway.supervisor.errors import StartRefused

_Seen: TypeAlias = tuple[tuple[int, int, int] | None, ...]

_log = structlog.get_logger(__name__)


def tls_source(settings: TlsSettings, now: datetime, *, renewed: bool = False) -> FrontTls | None:
    """Read and check the pair; None where TLS is not configured.

    Args:
        settings: Which files.
        now: For the certificate's dates.
        renewed: Whether there is a pair in force already: one that has expired then replaces nothing. At a start it is
            served with, and said: a door with an old sign is better than none.

    Raises:
        StartRefused: A file cannot be read, or no server can be made of the pair; the text names the files.
    """
    if settings.cert_file is None or settings.key_file is None:
        return None
    source = FrontTls(
        certificate=_text(settings.cert_file),
        private_key=_key(settings.key_file),
        client_ca=_text(settings.client_ca_file) if settings.client_ca_file is not None else "",
        client_certificates=settings.client_certificates,
        min_version=settings.min_version,
    )
    files = ", ".join(str(path) for path in _paths(settings))
    try:
        server_context(source)
        certificate = x509.load_pem_x509_certificate(source.certificate.encode())
    except TlsUnusable as exc:
        raise StartRefused(f"{files}: {exc}") from exc
    except ValueError as exc:
        raise StartRefused(f"{settings.cert_file}: not a certificate") from exc
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins <= now < ends:
        problem = f"{settings.cert_file}: holds from {begins:%Y-%m-%dT%H:%M:%SZ} to {ends:%Y-%m-%dT%H:%M:%SZ}, not now"
        if renewed:
            raise StartRefused(problem)
        _log.warning("certificate_does_not_hold", reason=problem)
    return source


def life_of(certificate: str) -> Life:
    """From when to when a certificate holds, of PEM its first; zeros for an empty text, and for what has no dates."""
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:  # of a service: OpenSSL has taken it, and a date that cannot be shown stops no start
        return Life(0.0, 0.0)
    return Life(found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp())


def show_lives(sources: Sources, metrics: CertificateMetrics) -> None:
    """Show how long the certificates of these sources hold."""
    shown = {service.name: service.tls.cert for service in sources.services if service.tls and service.tls.cert}
    front = sources.tls.certificate if sources.tls is not None else ""
    metrics.show(life_of(front), {name: life_of(certificate) for name, certificate in shown.items()})


def utc(seconds: float) -> datetime:
    """A clock's seconds as a certificate's dates are given."""
    return datetime.fromtimestamp(seconds, UTC)


class FileWatch:
    """Whether the files have been replaced or written to since they were looked at last.

    Links are followed: where a whole folder is swapped by a link, as Kubernetes does, the file is another one.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._files = _paths(settings)
        self._seen = self._look()

    def changed(self) -> bool:
        """Look again."""
        before, self._seen = self._seen, self._look()
        return self._seen != before

    def _look(self) -> _Seen:
        return tuple(_signature(path) for path in self._files)


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _paths(settings: TlsSettings) -> list[Path]:
    return [path for path in (settings.cert_file, settings.key_file, settings.client_ca_file) if path is not None]


def _key(path: Path) -> str:
    return _text(path, read_private)


def _text(path: Path, read: Callable[[Path], bytes] = Path.read_bytes) -> str:
    try:
        return read(path).decode("ascii")
    except UnicodeDecodeError:
        raise StartRefused(f"{path}: not PEM") from None
    except OSError as exc:
        raise StartRefused(f"{path}: cannot be read: {exc.strerror}") from exc
