"""Key files of security contexts: made, read, and each key in its time."""

import json
import os
import stat
import threading
from pathlib import Path

import msgspec
import pytest

from gateway.settings import ContextSettings
from gateway.supervisor.context_keys import ContextKeys
from gateway.supervisor.errors import StartRefused
from roles.security_context.key_ring import KeyRing, new_key
from roles.security_context.keys import new_private_jwk
from roles.security_context.signer import ContextSigner

NOW = 1_800_000_000


def private(file: Path, text: str) -> Path:
    """A file for its owner alone."""
    file.touch(0o600)
    file.write_text(text)
    return file


def rotated(file: Path) -> KeyRing:
    """A file with a next key that signs in a minute."""
    ring = KeyRing.parse(new_private_jwk()).rotated(NOW, alg="EdDSA", signs_from=NOW + 60, believed_until=NOW + 420)
    private(file, ring.text())
    return ring


def test_a_signing_key_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    """Made where there is none, readable by nobody else, and taken as it is the next time."""
    settings = ContextSettings(key_file=tmp_path / "keys" / "context.jwk")
    first = ContextKeys(settings).source(NOW)
    assert stat.S_IMODE(settings.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.key_file.parent.stat().st_mode) == 0o700
    assert ContextKeys(settings).source(NOW).private_jwk == first.private_jwk
    assert list(settings.key_file.parent.iterdir()) == [settings.key_file]
    assert json.loads(first.private_jwk)["d"] not in repr(first)


def test_the_key_fits_the_algorithm(tmp_path: Path) -> None:
    """ES256 gets a key of its curve; a key of the other kind is refused at the start."""
    settings = ContextSettings(alg="ES256", key_file=tmp_path / "context.jwk")
    assert json.loads(ContextKeys(settings).source(NOW).private_jwk)["crv"] == "P-256"
    with pytest.raises(StartRefused, match=r"context\.jwk: a key in it is for ES256, not for EdDSA"):
        ContextKeys(ContextSettings(alg="EdDSA", key_file=settings.key_file)).source(NOW)


def test_gateways_that_start_together_share_one_key(tmp_path: Path) -> None:
    """Of many that make the key at once, all get the one that came first."""
    settings = ContextSettings(key_file=tmp_path / "context.jwk")
    barrier = threading.Barrier(8)
    found: list[str] = []

    def start() -> None:
        barrier.wait()
        found.append(ContextKeys(settings).source(NOW).private_jwk)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_shared_secrets_come_one_a_service(tmp_path: Path) -> None:
    """HS256 needs a key file for each service, and no key pair is made for it."""
    key_file = tmp_path / "order.jwk"
    private(key_file, new_private_jwk("HS256"))
    made = tmp_path / "context.jwk"
    source = ContextKeys(ContextSettings(alg="HS256", key_file=made, hs256_key_files={"order": key_file})).source(NOW)
    assert source.hs256_keys.keys() == {"order"}
    assert not made.exists()
    with pytest.raises(StartRefused, match="hs256_key_files"):
        ContextKeys(ContextSettings(alg="HS256")).source(NOW)


def test_each_key_signs_in_its_time(tmp_path: Path) -> None:
    """The signing key goes to the workers whole, of the others only what may be published."""
    first, second = rotated(tmp_path / "context.jwk").keys
    keys = ContextKeys(ContextSettings(key_file=tmp_path / "context.jwk"))
    before, after, alone = (keys.source(NOW + seconds) for seconds in (0, 60, 420))
    assert [json.loads(source.private_jwk)["kid"] for source in (before, after, alone)] == [
        first.kid,
        second.kid,
        second.kid,
    ]
    assert [source.published for source in (before, after, alone)] == [(second.public,), (first.public,), ()]
    published = ContextSigner.from_source(before).public_jwks()["keys"]
    assert [key["kid"] for key in published] == [first.kid, second.kid]
    assert all("d" not in key for key in published)
    trusted = ContextSigner.from_source(after).trusted_keys("order")
    assert trusted.get(first.kid) is not None
    assert trusted.get(second.kid) is not None


def test_the_moments_are_waited_for(tmp_path: Path) -> None:
    """Not longer than until the next one, nor than the poll; and how many keys there are is shown."""
    rotated(tmp_path / "context.jwk")
    keys = ContextKeys(ContextSettings(key_file=tmp_path / "context.jwk", poll_s=5))
    assert keys.wait_s(NOW) == 5
    seen = []
    for now in (NOW, NOW + 58, NOW + 59.999, NOW + 60, NOW + 418, NOW + 420):
        keys.source(now)
        seen.append((keys.wait_s(now), tuple(keys.standing.values())))
    assert seen == [
        (5, (1, 1, 0)),
        (2, (1, 1, 0)),
        (0.01, (1, 1, 0)),
        (5, (0, 1, 1)),
        (2, (0, 1, 1)),
        (5, (0, 1, 0)),
    ]


def test_a_key_signs_in_its_time_though_the_file_is_gone(tmp_path: Path) -> None:
    """What was read counts, and what is wrong is kept to be said; a start and a SIGHUP read anew or say no."""
    file = tmp_path / "context.jwk"
    _, second = rotated(file).keys
    keys = ContextKeys(ContextSettings(key_file=file))
    keys.source(NOW)
    file.chmod(0o644)
    assert json.loads(keys.source(NOW + 60, anew=False).private_jwk)["kid"] == second.kid
    assert keys.problem is not None
    assert f"{file}: cannot be read: others may read or write it" in keys.problem
    for anew in (keys, ContextKeys(ContextSettings(key_file=file))):
        with pytest.raises(StartRefused, match="others may read"):
            anew.source(NOW + 60)
    with pytest.raises(StartRefused, match="others may read"):
        ContextKeys(ContextSettings(key_file=file)).source(NOW, anew=False)
    file.chmod(0o600)
    keys.source(NOW + 60, anew=False)
    assert keys.problem is None


def test_a_file_that_is_taken_away_is_not_made_anew(tmp_path: Path) -> None:
    """Somebody is putting another in its place: a key made in between would be one that no other gateway has."""
    file = tmp_path / "context.jwk"
    keys = ContextKeys(ContextSettings(key_file=file))
    made = keys.source(NOW)
    file.unlink()
    assert keys.source(NOW + 1, anew=False).private_jwk == made.private_jwk
    assert keys.problem == f"{file}: cannot be read: No such file or directory"
    with pytest.raises(StartRefused, match="No such file"):  # SIGHUP
        keys.source(NOW + 1)
    assert not file.exists()


@pytest.mark.parametrize("broken", ["another algorithm", "nobody's turn"])
def test_a_set_that_cannot_sign_leaves_what_was_read_before(tmp_path: Path, broken: str) -> None:
    """Its times go on, and its moments pass without the file being read a hundred times a second."""
    file = tmp_path / "context.jwk"
    _, second = rotated(file).keys
    keys = ContextKeys(ContextSettings(key_file=file, poll_s=5))
    keys.source(NOW)
    over = {**json.loads(new_private_jwk()), "exp": NOW}
    private(file, new_private_jwk("ES256") if broken == "another algorithm" else json.dumps(over))
    assert json.loads(keys.source(NOW + 60, anew=False).private_jwk)["kid"] == second.kid
    assert keys.problem is not None
    assert str(file) in keys.problem
    assert keys.wait_s(NOW + 60) == 5


def test_a_key_that_is_over_is_asked_for_no_more_often(tmp_path: Path) -> None:
    """A file whose only key ends while the gateway runs: refused at each look, and the looks stay `poll_s` apart."""
    file = private(tmp_path / "context.jwk", json.dumps({**json.loads(new_private_jwk()), "exp": NOW + 10}))
    keys = ContextKeys(ContextSettings(key_file=file, poll_s=5))
    keys.source(NOW)
    with pytest.raises(StartRefused, match="no key of it signs now"):
        keys.source(NOW + 11, anew=False)
    assert keys.wait_s(NOW + 11) == 5


def test_nobodys_turn_is_refused_with_its_place(tmp_path: Path) -> None:
    """A file whose only key is over."""
    file = private(tmp_path / "context.jwk", json.dumps({**json.loads(new_private_jwk()), "exp": NOW}))
    with pytest.raises(StartRefused, match=rf"{file}: no key of it signs now"):
        ContextKeys(ContextSettings(key_file=file)).source(NOW)


def test_shared_secrets_have_their_times_too(tmp_path: Path) -> None:
    """Each service its own; the gateway verifies what any of them signed, and publishes none."""
    ring = KeyRing.parse(new_private_jwk("HS256")).rotated(
        NOW, alg="HS256", signs_from=NOW + 60, believed_until=NOW + 420
    )
    files = {
        "order": private(tmp_path / "order.jwk", ring.text()),
        "payment": private(tmp_path / "payment.jwk", new_private_jwk("HS256")),
    }
    keys = ContextKeys(ContextSettings(alg="HS256", hs256_key_files=files))
    source = keys.source(NOW + 60)
    assert json.loads(source.hs256_keys["order"])["kid"] == ring.keys[1].kid
    assert {name: len(others) for name, others in source.hs256_believed.items()} == {"order": 1, "payment": 0}
    assert keys.standing == {"next": 0, "current": 2, "last": 1}
    signer = ContextSigner.from_source(source)
    assert signer.public_jwks() == {"keys": []}
    assert all(signer.trusted_keys("order").get(key.kid) for key in ring.keys)
    assert signer.trusted_keys("payment").get(ring.keys[0].kid) is None
    assert json.loads(ring.keys[0].jwk)["k"] not in repr(source)


def test_since_when_a_key_signs_and_until_when_one_will(tmp_path: Path) -> None:
    """A bare key is as old as its file, a rotated one begins in its time; the last that signs is the end."""
    file = private(tmp_path / "context.jwk", new_private_jwk())
    os.utime(file, (NOW - 86_400, NOW - 86_400))
    keys = ContextKeys(ContextSettings(key_file=file))
    keys.source(NOW)
    assert (keys.since, keys.end) == (NOW - 86_400, None)
    ring = rotated(file)
    keys.source(NOW)
    assert keys.end is None, "the next one has no end"
    keys.source(NOW + 60)
    assert (keys.since, keys.end) == (NOW + 60, None)
    current, following = ring.keys
    ending = KeyRing((current, msgspec.structs.replace(following, believed_until=NOW + 900)))
    private(file, ending.text())
    keys.source(NOW)
    assert keys.end == NOW + 900


def test_of_several_files_the_oldest_and_the_first_to_end_count(tmp_path: Path) -> None:
    """One service whose key was forgotten is not hidden by the others."""
    files = {name: tmp_path / f"{name}.jwk" for name in ("order", "payment")}
    old, new = (KeyRing((new_key("HS256", NOW - age, NOW - age),)) for age in (9_000, 60))
    ends = msgspec.structs.replace(new.keys[0], believed_until=NOW + 7)
    private(files["order"], old.text())
    private(files["payment"], KeyRing((ends,)).text())
    keys = ContextKeys(ContextSettings(alg="HS256", hs256_key_files=files))
    keys.source(NOW)
    assert (keys.since, keys.end) == (NOW - 9_000, NOW + 7)
