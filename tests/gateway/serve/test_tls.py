"""A pair to a context: what can serve, and what is refused without a word of the key."""

import ssl

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.serve.tls import TlsUnusable, server_context
from gateway.sources import FrontTls
from tests.builders.certificates import Authority, source

ROOT = Authority()
SERVER = ROOT.server()
RSA_KEY = (
    rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
)


def test_a_good_pair_serves() -> None:
    """At least TLS 1.2, without asking for a certificate; 1.3 and clients' certificates where that is said."""
    context = server_context(source(SERVER))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_NONE
    assert context.options & ssl.OP_NO_RENEGOTIATION
    names = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"}
    assert names
    assert all(name.startswith("ECDHE") and ("GCM" in name or "CHACHA20" in name) for name in names)
    context = server_context(source(SERVER, client_ca=ROOT.pem, client_certificates="required", min_version="1.3"))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.verify_mode is ssl.CERT_REQUIRED
    optional = source(SERVER, client_ca=ROOT.pem, client_certificates="optional")
    assert server_context(optional).verify_mode is ssl.CERT_OPTIONAL


@pytest.mark.parametrize(
    ("certificate", "private_key", "client_ca", "words"),
    [
        (SERVER.pem, ROOT.server().key_pem, "", "key values mismatch"),
        (SERVER.pem, RSA_KEY, "", "certificate and key"),
        (SERVER.pem, "", "", "certificate and key"),
        ("", SERVER.key_pem, "", "certificate and key"),
        ("nonsense", "nonsense", "", "certificate and key"),
        (SERVER.pem, SERVER.locked_key(), "", "certificate and key"),
        (SERVER.pem, SERVER.key_pem, "nonsense", "client CA"),
        (SERVER.pem, SERVER.key_pem, "", "client CA"),
    ],
)
def test_what_cannot_serve_is_refused(certificate: str, private_key: str, client_ca: str, words: str) -> None:
    """A key of another certificate, no PEM, a passphrase that nobody is asked for, authorities that are none."""
    wanted = "required" if words == "client CA" else "none"
    given = FrontTls(certificate=certificate, private_key=private_key, client_ca=client_ca, client_certificates=wanted)
    with pytest.raises(TlsUnusable, match=words) as refused:
        server_context(given)
    assert private_key.strip() == "" or private_key not in str(refused.value)
    assert "/proc" not in str(refused.value)


def test_the_order_in_the_file_is_the_certificates_own() -> None:
    """The server's certificate comes first and the chain follows; a chain in front of it does not fit the key."""
    assert server_context(FrontTls(certificate=SERVER.pem + ROOT.pem, private_key=SERVER.key_pem))
    with pytest.raises(TlsUnusable, match="mismatch"):
        server_context(FrontTls(certificate=ROOT.pem + SERVER.pem, private_key=SERVER.key_pem))
