"""What the public port and its clients prove themselves with in tests."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateway.sources import FrontTls
from tests.builders import authority


class Pair:
    """A certificate with its key.

    Attributes:
        pem: Of the certificate.
        key_pem: Of the key.
    """

    def __init__(self, signed: authority.Signed) -> None:
        self._signed = signed
        self.pem = signed.cert
        self.key_pem = signed.key

    @property
    def sha256(self) -> str:
        """The fingerprint, hex."""
        return x509.load_pem_x509_certificate(self.pem.encode()).fingerprint(hashes.SHA256()).hex()

    def locked_key(self) -> str:
        """The key's PEM behind a passphrase."""
        return self._signed.locked_key()

    def write(self, folder: Path, name: str = "server") -> tuple[Path, Path]:
        """Both files, in a folder; the certificate's first."""
        return self._signed.files(folder, name)


class Authority(authority.Authority):
    """Signs certificates; a root of its own."""

    @property
    def pem(self) -> str:
        """Of the root."""
        return self.cert

    def server(self, name: str = "localhost", *, days: int = 30) -> Pair:
        """A certificate for loopback under that subject; with negative `days` it has expired."""
        return Pair(self.sign(name, "localhost", "127.0.0.1", days=days))

    def client(self, name: str = "till-7", *, days: int = 30) -> Pair:
        """A certificate a client may show."""
        return Pair(self.sign(name, days=days))


def source(pair: Pair, *, client_ca: str = "", client_certificates: str = "none", min_version: str = "1.2") -> FrontTls:
    """What a gateway with this pair serves with."""
    return FrontTls(
        certificate=pair.pem,
        private_key=pair.key_pem,
        client_ca=client_ca,
        client_certificates=client_certificates,
        min_version=min_version,
    )
