"""Where policies come from: folders, bundles and keys on a disk."""

import os
import subprocess
from pathlib import Path

import pytest

from audit.private_file import read_private
from policies.errors import BundleRefused, PolicyErrors
from policies.load import build_bundle, load_bundle, read_folder
from policies.origin import Origin, make_key, private_key, public_key
from policies.pack import MAX_BYTES, key_id, pack

POLICIES = Path(__file__).parents[2] / "policies"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key; its public one is beside it."""
    file = tmp_path / "key.pem"
    make_key(file)
    return file


def bundle(folder: Path, key: Path, serial: int = 4, **more: str) -> Origin:
    """The shipped policies as a bundle."""
    policies, schema = read_folder(POLICIES)
    files = [*policies, schema, *((f"{name}.toml", text) for name, text in more.items())]
    file = folder / "policies.lcb"
    file.write_bytes(pack(files, serial, private_key(key, read_private)))
    return Origin(folder / "nowhere", file, (key.with_name("key.pem.pub"),), min_serial=4)


def test_a_folder_and_its_bundle_are_the_same_policies(tmp_path: Path, key: Path) -> None:
    """To the version that stands in every record; a bundle may bring roles and routes."""
    folder = Origin(POLICIES)
    origin = bundle(tmp_path, key)
    assert (folder.path, origin.path) == (POLICIES, tmp_path / "policies.lcb")
    texts = origin.read()
    assert build_bundle(texts.policies, texts.schema).version == load_bundle(POLICIES).version
    assert (texts.roles, texts.routes, texts.serial) == (None, None, 4)
    assert (folder.read().policies, folder.read().serial) == (texts.policies, None)
    texts = bundle(tmp_path, key, roles="r", routes="x").read()
    assert (texts.roles, texts.routes) == (("roles.toml", "r"), ("routes.toml", "x"))


def test_what_cannot_be_read_is_named(tmp_path: Path, key: Path) -> None:
    """The bundle, or the key that is wrong; never with a trace."""
    origin = bundle(tmp_path, key)
    file, public = tmp_path / "policies.lcb", origin.public_keys[0]
    with pytest.raises(PolicyErrors, match=f"^{file}: its serial is 3; the least that is taken is 4$"):
        bundle(tmp_path, key, serial=3).read()
    file.write_bytes(b"x")
    with pytest.raises(PolicyErrors, match=f"^{file}: not a bundle$"):
        origin.read()
    file.write_bytes(bytes(MAX_BYTES + 1))
    with pytest.raises(PolicyErrors, match=f"^{file}: longer than {MAX_BYTES} bytes$"):
        origin.read()
    file.unlink()
    with pytest.raises(PolicyErrors, match=f"^{file}: cannot be read: No such file or directory$"):
        origin.read()
    os.mkfifo(file)
    with pytest.raises(PolicyErrors, match=f"^{file}: not a file$"):
        origin.read()
    public.write_text("none")
    with pytest.raises(PolicyErrors, match=f"^{public}: not an Ed25519 public key in PEM$"):
        origin.read()


def test_keys_are_made_for_their_owner_alone_and_never_written_over(tmp_path: Path, key: Path) -> None:
    """And read by openssl."""
    assert key.stat().st_mode & 0o777 == 0o600
    public = key.with_name("key.pem.pub")
    assert key_id(private_key(key, read_private).public_key()) == key_id(public_key(public))
    shown = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", str(public), "-noout", "-text"], capture_output=True, text=True, check=True
    )
    assert "ED25519" in shown.stdout.upper()
    before = key.read_bytes()
    with pytest.raises(BundleRefused, match=f"^{key}: is there already$"):
        make_key(key)
    assert key.read_bytes() == before
    with pytest.raises(BundleRefused, match=r"none/key: cannot be written: No such file or directory$"):
        make_key(tmp_path / "none" / "key")


def test_a_private_key_that_will_not_do(tmp_path: Path, key: Path) -> None:
    """One that others can read, one that is none."""
    key.chmod(0o644)
    with pytest.raises(BundleRefused, match=f"^{key}: cannot be read: others .*mode 0644.*`chmod 6.0 {key}`"):
        private_key(key, read_private)
    key.chmod(0o600)
    key.write_text("no key")
    with pytest.raises(BundleRefused, match=f"^{key}: not an Ed25519 private key in PEM without a passphrase$"):
        private_key(key, read_private)
    with pytest.raises(BundleRefused, match=r"none: cannot be read: No such file or directory$"):
        private_key(tmp_path / "none", read_private)
