"""A certificate authority of a test, and what it signs; PEM, ECDSA P-256, valid for a day."""

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.builders.private import private


class Signed:
    """A certificate with its key.

    Attributes:
        cert: PEM.
        key: PEM, PKCS 8.
    """

    def __init__(self, cert: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.cert = cert.public_bytes(serialization.Encoding.PEM).decode()
        self._key = key
        self.key = self._pem(serialization.NoEncryption())

    def _pem(self, encryption: serialization.KeySerializationEncryption) -> str:
        form = serialization.PrivateFormat.PKCS8
        return self._key.private_bytes(serialization.Encoding.PEM, form, encryption).decode()

    def locked_key(self, passphrase: bytes = b"open sesame") -> str:
        """The key, encrypted."""
        return self._pem(serialization.BestAvailableEncryption(passphrase))

    def files(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write certificate and key into a folder."""
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_text(self.cert, encoding="ascii")
        private(key, self.key)
        return cert, key


class Authority:
    """Signs certificates.

    Attributes:
        cert: Its own, PEM.
    """

    def __init__(self, name: str = "Test Authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        ca = x509.BasicConstraints(ca=True, path_length=0)
        own = self._builder(self._name, self._key).add_extension(ca, critical=True).sign(self._key, hashes.SHA256())
        self.cert = own.public_bytes(serialization.Encoding.PEM).decode()

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int = 1
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=2))
            .not_valid_after(now + dt.timedelta(days=days))
        )

    def sign(self, *names: str, days: int = 1) -> Signed:
        """A certificate for host names and addresses; with negative `days` it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
        builder = self._builder(subject, key, days=days)
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        return Signed(builder.sign(self._key, hashes.SHA256()), key)


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
