"""What a certificate says of the key beside it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from lychgate.keys.certificates import Certificate, algorithm, certificate_of
from tests.builders.authority import Authority


def test_its_dates_and_the_name_of_its_key(tmp_path: Path) -> None:
    """The first certificate of a file counts: what follows leads to a root."""
    authority = Authority()
    cert, _ = authority.sign("us").files(tmp_path, "us")
    cert.write_text(cert.read_text() + authority.cert)
    found = certificate_of(cert)
    assert (len(found.key_id), found.alg) == (16, "EC-secp256r1")
    assert found.begins < datetime.now(UTC).timestamp() < found.ends
    assert found.key_id != certificate_of(authority.sign("us").files(tmp_path, "again")[0]).key_id


def test_what_is_none_says_nothing(tmp_path: Path) -> None:
    """Who serves with it says what is wrong."""
    (tmp_path / "junk").write_text("x")
    assert certificate_of(tmp_path / "junk") == certificate_of(tmp_path / "none") == Certificate()


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (rsa.generate_private_key(65537, 2048).public_key(), "RSA-2048"),
        (ed25519.Ed25519PrivateKey.generate().public_key(), "Ed25519"),
    ],
)
def test_kinds_of_keys_have_names(key: object, name: str) -> None:
    """With their size."""
    assert algorithm(key) == name
