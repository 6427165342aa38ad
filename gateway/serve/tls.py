"""`FrontTls` to an `ssl.SSLContext`, and what a client has proved itself with.

The supervisor calls it to check what it has read, the workers to serve with what they were sent: the same bytes and the
same code, so that what has passed the check is what serves.
"""

import hashlib
import ssl
from typing import Final

from cryptography import x509

from audit.key_pair import load_key_pair
from gateway.model import Certificate
from gateway.sources import FrontTls

# Forward secrecy and authenticated encryption, nothing else (RFC 9325 s4.2). TLS 1.3 has its own list.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_SUBJECT_CHARS: Final = 256


class TlsUnusable(Exception):
    """No server can be made of it; the text says why and holds nothing of the key."""


def server_context(source: FrontTls) -> ssl.SSLContext:
    """What the public port shakes hands with.

    Raises:
        TlsUnusable: Not PEM, a key that is not the certificate's, a passphrase, a key too weak to be served with.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[source.min_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    try:
        load_key_pair(context, source.certificate.encode(), source.private_key.encode())
    except ssl.SSLError as exc:
        raise TlsUnusable(f"certificate and key: {_word(exc)}") from None
    except (ValueError, OSError) as exc:
        raise TlsUnusable(f"certificate and key: {type(exc).__name__}") from None
    if source.client_certificates != "none":
        try:
            context.load_verify_locations(cadata=source.client_ca)
        except (ssl.SSLError, ValueError) as exc:
            raise TlsUnusable(f"client CA: {_word(exc)}") from None
        context.verify_mode = _VERIFY[source.client_certificates]
    return context


def _word(exc: Exception) -> str:
    """OpenSSL's word for what is wrong; never its text, which may quote."""
    reason = exc.reason if isinstance(exc, ssl.SSLError) else None
    return (reason or type(exc).__name__).lower().replace("_", " ")


def shown_certificate(tls: ssl.SSLObject) -> Certificate | None:
    """The certificate a client was accepted with; None where it had none to show."""
    der = tls.getpeercert(binary_form=True)
    if der is None:
        return None
    try:
        subject = x509.load_der_x509_certificate(der).subject.rfc4514_string()
    except ValueError:  # OpenSSL took it; the fingerprint names it well enough
        subject = ""
    return Certificate(subject[:_SUBJECT_CHARS], hashlib.sha256(der).hexdigest())
