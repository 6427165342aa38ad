"""TLS towards services: who they must be, and who we are.

At least TLS 1.2, HTTP/1.1 by ALPN, the certificate and its name checked unless the configuration says otherwise in as
many words. Certificates and keys come as text with the sources; the key touches no disk on its way into OpenSSL.
"""

import ssl

from audit.key_pair import load_key_pair
from gateway.errors import UpstreamError
from gateway.sources import TlsSource


def client_context(source: TlsSource) -> ssl.SSLContext:
    """The context of every connection to one service.

    Raises:
        ValueError: A certificate or key cannot be used; says which.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if not source.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif source.ca:
        try:
            context.load_verify_locations(cadata=source.ca)
        except (ssl.SSLError, ValueError) as exc:
            raise ValueError(f"ca_file holds no certificate that can be read: {_words(exc)}") from None
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if source.cert:
        try:
            load_key_pair(context, source.cert.encode(), source.key.encode())
        except (ssl.SSLError, OSError, ValueError) as exc:
            raise ValueError(f"cert_file and key_file cannot be used together: {_words(exc)}") from None
    return context


def tls_error(exc: ssl.SSLError) -> UpstreamError:
    """What a failed handshake, or a connection that TLS gave up, is called; the reason is for the record."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return UpstreamError(f"tls: certificate refused: {exc.verify_message}", kind="tls")
    return UpstreamError(f"tls: {_words(exc)}", kind="tls")


def _words(exc: Exception) -> str:
    """OpenSSL's reason in words, without places in its source; nothing of the input."""
    reason = getattr(exc, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else type(exc).__name__
