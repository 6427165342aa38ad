"""Tests of `audit.integrity.keys`."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from audit.errors import SealRefused
from audit.integrity.keys import PublicKeys, key_id, load_public_key, load_seal_key, make_seal_key
from tests.builders.chains import KEY, OTHER_KEY


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """For its owner alone, with its public half; of many who make it at once, all have the same."""
    file = tmp_path / "keys" / "seal.pem"
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: make_seal_key(file), range(8))) == 1
    key = load_seal_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert key_id(load_public_key(tmp_path / "keys" / "seal.pem.pub")) == key.key_id
    assert sorted(each.name for each in file.parent.iterdir()) == ["seal.pem", "seal.pem.pub"]
    assert "PRIVATE" not in key.public_pem()
    assert file.read_text().split("\n")[1] not in repr(key) + str(vars(key))


def test_a_signature_is_one_keys(tmp_path: Path) -> None:
    """Of that message, by a key that is known."""
    keys = PublicKeys([KEY.public])
    signature = KEY.sign(b"message")
    assert keys.holds(KEY.key_id, signature, b"message")
    assert not keys.holds(KEY.key_id, signature, b"another")
    assert not keys.holds(OTHER_KEY.key_id, OTHER_KEY.sign(b"message"), b"message")
    assert not keys.holds(KEY.key_id, OTHER_KEY.sign(b"message"), b"message")
    assert not keys.holds(KEY.key_id, b"", b"message")
    assert (KEY.key_id in keys, OTHER_KEY.key_id in keys, len(keys)) == (True, False, 1)


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o660, 0o777])
def test_a_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    """Readable or writable by anybody else."""
    file = tmp_path / "seal.pem"
    make_seal_key(file)
    file.chmod(mode)
    with pytest.raises(SealRefused, match="others may read or write it"):
        load_seal_key(file)


@pytest.mark.parametrize(("mode", "taken"), [(0o440, True), (0o640, True), (0o444, False), (0o460, False)])
def test_a_key_that_root_lends_to_our_group_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, taken: bool
) -> None:
    """How Kubernetes mounts a Secret for a pod that is not root: root's, 0440, of the pod's own group."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a file of root's")
    file = tmp_path / "seal.pem"
    make_seal_key(file)
    file.chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    if taken:
        assert load_seal_key(file).key_id
        return
    with pytest.raises(SealRefused, match="others may read or write it"):
        load_seal_key(file)


def test_a_key_that_somebody_else_lends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns it can put another in its place: root may, another user may not."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    file = tmp_path / "seal.pem"
    make_seal_key(file)
    file.chmod(0o440)
    os.chown(file, 12345, 10001)
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    with pytest.raises(SealRefused, match="another user owns it"):
        load_seal_key(file)


def test_what_is_no_key_of_ours_is_refused(tmp_path: Path) -> None:
    """Missing, no PEM, another algorithm, the public half; the message never shows what was in the file."""
    file, other = tmp_path / "seal.pem", ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(SealRefused, match="cannot be read: No such file"):
        load_seal_key(file)
    with pytest.raises(SealRefused, match="cannot be read: No such file"):
        load_public_key(file)
    public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content, load, says in (
        (b"hunter2", load_seal_key, "no PEM of a private key"),
        (public, load_seal_key, "no PEM of a private key"),
        (private, load_seal_key, "signed with Ed25519"),
        (b"hunter2", load_public_key, "no PEM of a public key"),
        (public, load_public_key, "signed with Ed25519"),
        (private, load_public_key, "no PEM of a public key"),
    ):
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises(SealRefused, match=says) as refused:
            load(file)
        assert "hunter2" not in str(refused.value)


def test_where_no_key_can_be_made_it_is_said(tmp_path: Path) -> None:
    """With the place."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SealRefused, match="cannot be made"):
        make_seal_key(tmp_path / "file" / "seal.pem")
