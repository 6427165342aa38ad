"""A key file written anew: killed at any instant, by two at once, and only where it may be."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from audit.private_file import read_private
from lychgate.errors import ConfigurationError
from lychgate.keys import rotation
from lychgate.keys.rotation import NotRotated, Rotation, rewrite, write_new
from roles.security_context.key_ring import KeyRing
from roles.security_context.keys import Alg, new_private_jwk

ROOT = Path(__file__).parents[3]
NOW = 1_800_000_000
ROTATION = Rotation(NOW, "EdDSA", NOW + 60, NOW + 420)

KILLED = """
import os, signal, sys
from pathlib import Path
from lychgate.keys.rotation import Rotation, rewrite

class Stop:
    def __init__(self, at):
        self.left = at
    def __call__(self, event, arguments):
        if event in ("open", "os.rename", "os.chmod", "os.chown", "os.remove", "fcntl.flock") and armed:
            self.left -= 1
            if self.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

armed = False
rotation = Rotation(1_800_000_000, "EdDSA", 1_800_000_060, 1_800_000_420)
sys.addaudithook(Stop(int(sys.argv[2])))
armed = True
rewrite(Path(sys.argv[1]), rotation.follow)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with one key."""
    found = tmp_path / "context.jwk"
    found.touch(0o600)
    found.write_text(new_private_jwk())
    return found


def test_the_file_is_replaced_whole(file: Path) -> None:
    """Same mode, the old key still in it, and nothing beside it."""
    before = KeyRing.parse(file.read_text())
    file.chmod(0o400)
    with file.open() as reading:  # whoever reads just then has the old file, all of it
        ring = rewrite(file, ROTATION.follow)
        assert KeyRing.parse(reading.read()) == before
    assert KeyRing.parse(file.read_text()) == ring
    assert ring.keys[0].kid == before.keys[0].kid
    assert (ring.keys[0].believed_until, ring.keys[1].signs_from) == (NOW + 420, NOW + 60)
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_owner_stays(file: Path) -> None:
    """Root rotates, the gateway's user reads."""
    os.chown(file, 4711, 4712)
    rewrite(file, ROTATION.follow)
    assert (file.stat().st_uid, file.stat().st_gid) == (4711, 4712)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_with_a_group_of_its_own_gives_it_no_key(file: Path) -> None:
    """Root's file that root's group may read stays so, though what is made in the folder is another group's."""
    file.chmod(0o640)
    os.chown(file.parent, -1, 4712)
    file.parent.chmod(0o2750)
    rewrite(file, ROTATION.follow)
    assert (file.stat().st_gid, stat.S_IMODE(file.stat().st_mode)) == (os.getegid(), 0o640)


def test_killed_anywhere_it_is_the_old_file_or_the_new(file: Path) -> None:
    """A process of its own for each instant, until one gets through; what it leaves behind harms no later rotation."""
    old = file.read_text()
    for instant in range(40):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(file), str(instant)], cwd=ROOT, check=False, capture_output=True
        )
        ring = KeyRing.parse(file.read_text())
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in file.parent.iterdir())
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        if len(ring.keys) == 1:
            assert file.read_text() == old
        else:
            file.write_text(old)
    else:
        pytest.fail("it was always killed")
    assert instant > 3
    assert len(ring.keys) == 2
    assert list(file.parent.iterdir()) == [file]  # nor is a copy of the keys left by those that were killed


def test_two_at_once_are_one(file: Path) -> None:
    """The second finds the next key there and says so."""
    barrier = threading.Barrier(6)
    ends: list[str] = []

    def run() -> None:
        barrier.wait()
        try:
            rewrite(file, ROTATION.follow)
        except NotRotated as exc:
            ends.append(str(exc))
        else:
            ends.append("rotated")

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends.count("rotated") == 1
    [kid] = {end.rpartition(" ")[2] for end in ends if end != "rotated"}
    assert kid == KeyRing.parse(file.read_text()).keys[1].kid


def test_a_stolen_key_is_the_only_one_no_more(file: Path) -> None:
    """With a next key waiting, too."""
    waiting = rewrite(file, ROTATION.follow)
    ring = rewrite(file, ROTATION.replace)
    assert len(ring.keys) == 1
    assert ring.keys[0].kid not in {key.kid for key in waiting.keys}
    assert ring.at(NOW).current == ring.keys[0]


def test_a_stolen_key_does_not_sign_on_where_the_clock_is_behind(file: Path) -> None:
    """A gateway whose clock is an hour behind takes the new key when it reads the file, not when its clock has come."""
    rewrite(file, ROTATION.replace)
    assert KeyRing.parse(file.read_text()).signing_at(NOW - 3600, "EdDSA").current.made_at == NOW


def test_retiring_twice_writes_once(file: Path) -> None:
    """Nothing to do is nothing done."""
    rewrite(file, ROTATION.follow)
    later = Rotation(NOW + 60, "EdDSA", 0, 0)
    rewrite(file, later.retire)
    before = file.stat()
    assert [("d" in key) for key in json.loads(file.read_text())["keys"]] == [False, True]
    rewrite(file, later.retire)
    assert file.stat().st_ino == before.st_ino


def test_another_file_is_made_anew_or_not_at_all(file: Path, tmp_path: Path) -> None:
    """For a secret manager: the configured file stays, and nothing is overwritten."""
    old, out = file.read_text(), tmp_path / "next.jwk"
    ring = rewrite(file, ROTATION.follow, out=out)
    assert (file.read_text(), KeyRing.parse(out.read_text())) == (old, ring)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with pytest.raises(ConfigurationError, match=r"next\.jwk: File exists"):
        rewrite(file, ROTATION.follow, out=out)


def test_what_must_not_be_written_is_refused_with_its_place(file: Path, tmp_path: Path) -> None:
    """A link, a file others read, one that is not there, one that is none."""
    link = tmp_path / "link.jwk"
    link.symlink_to(file)
    with pytest.raises(ConfigurationError, match=r"link\.jwk: a link; .*--out"):
        rewrite(link, ROTATION.follow)
    assert rewrite(link, ROTATION.follow, out=tmp_path / "out.jwk").keys
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"context\.jwk: others may read or write it"):
        rewrite(file, ROTATION.follow)
    with pytest.raises(ConfigurationError, match=r"none\.jwk: there is no key yet; .*`keys new`"):
        rewrite(tmp_path / "none.jwk", ROTATION.follow)
    with pytest.raises(ConfigurationError, match=r"nowhere/none\.jwk: there is no key yet"):
        rewrite(tmp_path / "nowhere" / "none.jwk", ROTATION.follow)
    file.chmod(0o600)
    file.write_text("{")
    with pytest.raises(ConfigurationError, match=r"context\.jwk: not a usable JWK"):
        rewrite(file, ROTATION.follow)


def test_a_disk_that_is_full_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no draft."""
    old = file.read_text()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rotation.os, "fsync", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        rewrite(file, ROTATION.follow)
    assert file.read_text() == old
    assert list(file.parent.iterdir()) == [file]


def test_a_disk_that_is_full_leaves_no_half_of_another_file(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be in the way of the next attempt."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(rotation.os, "fsync", full)
        with pytest.raises(ConfigurationError, match="No space left"):
            rewrite(file, ROTATION.follow, out=tmp_path / "next.jwk")
    assert rewrite(file, ROTATION.follow, out=tmp_path / "next.jwk")


@pytest.mark.parametrize("alg", ["EdDSA", "ES256", "HS256"])
def test_a_first_key_is_made_once(tmp_path: Path, alg: Alg) -> None:
    """For its owner alone, able to sign at once whatever the clock says, and never in the place of another."""
    file = tmp_path / "first.jwk"
    kid = write_new(file, alg)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KeyRing.parse(read_private(file)).signing_at(0, alg).current.kid == kid
    assert json.loads(file.read_text())["kid"] == kid  # no set: 0.1.0 reads one key
    with pytest.raises(ConfigurationError, match=r"first\.jwk: File exists"):
        write_new(file, alg)
    with pytest.raises(ConfigurationError, match=r"none/first\.jwk: No such file"):
        write_new(tmp_path / "none" / "first.jwk", alg)
