"""The development issuer: one key that stays where it is, and tokens that a gateway takes."""

import json
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lychgate.errors import LychgateError
from lychgate.tokens import MAX_TTL_S, CannotMint, DevelopmentIssuer
from tests.builders.development import clock, identified
from tests.builders.tokens import NOW, signing_key


@pytest.fixture
def issuer(tmp_path: Path) -> DevelopmentIssuer:
    """A fresh issuer."""
    return DevelopmentIssuer.open(tmp_path / "issuer", clock)


def test_a_gateway_takes_its_tokens(issuer: DevelopmentIssuer) -> None:
    """Who was asked for is who comes out, until the time that was asked for."""
    token = issuer.mint(roles=["Clerk", "member_of_nothing"], tenant="acme", user="ann@acme.example", ttl_s=60)
    found = identified(token, issuer)
    assert found.principal.uid.id == "dev/acme/ann@acme.example"
    assert (found.principal.roles, found.dropped_roles) == (("Clerk",), ("member_of_nothing",))
    assert found.expires_at == NOW + 60 + 30
    assert found.jti


def test_every_token_is_its_own(issuer: DevelopmentIssuer) -> None:
    """Two tokens for the same caller can be told apart and revoked one by one."""
    first, second = (identified(issuer.mint(roles=[], tenant="acme", user="u"), issuer) for _ in range(2))
    assert first.jti != second.jti


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "Acme"},
        {"tenant": ""},
        {"tenant": "-"},
        {"user": ""},
        {"user": "a\nb"},
        {"user": "u" * 257},
        {"ttl_s": 0},
        {"ttl_s": -1},
        {"ttl_s": MAX_TTL_S + 1},
    ],
)
def test_what_no_gateway_would_take_is_not_made(issuer: DevelopmentIssuer, changes: dict[str, Any]) -> None:
    """A person who mistypes hears it here and not as a 401 later."""
    with pytest.raises(CannotMint) as caught:
        issuer.mint(**{"roles": [], "tenant": "acme", "user": "u", **changes})
    assert isinstance(caught.value, LychgateError)


def test_the_key_outlives_the_process(tmp_path: Path, issuer: DevelopmentIssuer) -> None:
    """A token of yesterday's run holds today."""
    again = DevelopmentIssuer.open(tmp_path / "issuer", clock)
    assert again.jwks() == issuer.jwks()
    assert identified(issuer.mint(roles=[], tenant="acme", user="u"), again)


def test_the_key_is_its_owners_alone(tmp_path: Path, issuer: DevelopmentIssuer) -> None:
    """File and folder are closed to others, a file that was opened up is closed again, nothing else lies about."""
    folder, file = tmp_path / "issuer", tmp_path / "issuer" / "key.jwk"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    file.chmod(0o644)
    DevelopmentIssuer.open(folder, clock)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == [file]


def test_only_the_public_half_is_told(issuer: DevelopmentIssuer) -> None:
    """Neither what is published nor the repr holds the private number."""
    private = issuer.key.as_dict(private=True)["d"]
    assert isinstance(private, str)
    assert private not in json.dumps(issuer.jwks())
    assert private not in repr(issuer)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b"\xff",
        json.dumps(signing_key("ES256").public()).encode(),
        json.dumps(signing_key("ES384").private()).encode(),
        json.dumps({**signing_key("ES256").private(), "d": 5}).encode(),
        json.dumps({**signing_key("ES256").private(), "use": ["sig"], "key_ops": ["sign"]}).encode(),
        json.dumps({"kty": "oct", "k": "c2VjcmV0", "crv": "P-256"}).encode(),
    ],
)
def test_an_unusable_key_is_set_aside(tmp_path: Path, content: bytes) -> None:
    """Nothing is deleted: what cannot be used keeps its bytes under a dated name, and a new key takes its place."""
    folder = tmp_path / "issuer"
    folder.mkdir()
    (folder / "key.jwk").write_bytes(content)
    healed = DevelopmentIssuer.open(folder, clock)
    assert identified(healed.mint(roles=[], tenant="acme", user="u"), healed)
    (aside,) = (path for path in folder.iterdir() if path.name != "key.jwk")
    assert aside.name.startswith("key.jwk.unusable-2026")
    assert aside.read_bytes() == content


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    """The message names the file and the system's reason, and ends the command with 2."""
    (tmp_path / "issuer").write_text("in the way")
    with pytest.raises(CannotMint, match=r"key\.jwk cannot be used: File exists") as caught:
        DevelopmentIssuer.open(tmp_path / "issuer", clock)
    assert caught.value.exit_code == 2


def test_an_unusable_key_never_replaces_another(tmp_path: Path) -> None:
    """Two bad keys in one second are both kept."""
    folder = tmp_path / "issuer"
    folder.mkdir()
    for content in (b"first", b"second"):
        (folder / "key.jwk").write_bytes(content)
        DevelopmentIssuer.open(folder, clock)
    kept = {path.read_bytes() for path in folder.iterdir() if path.name != "key.jwk"}
    assert kept == {b"first", b"second"}


@pytest.mark.parametrize("before", [None, b"unusable"])
def test_openers_that_start_together_agree_on_one_key(tmp_path: Path, before: bytes | None) -> None:
    """`up` and `token mint` at the same moment, on a fresh machine or with a broken key: one key, nothing lost."""
    if before is not None:
        (tmp_path / "key.jwk").write_bytes(before)
    barrier = threading.Barrier(8)

    def open_together(_: int) -> str:
        barrier.wait(30)
        return json.dumps(DevelopmentIssuer.open(tmp_path, clock).jwks())

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(open_together, range(8)))) == 1
    kept = [path.read_bytes() for path in tmp_path.iterdir() if path.name != "key.jwk"]
    assert kept == ([] if before is None else [before])


def test_a_half_written_key_of_a_killed_process_is_no_obstacle(tmp_path: Path) -> None:
    """What a killed predecessor left half done is done again."""
    (tmp_path / ".key.jwk.new").write_bytes(b'{"kty":')
    issuer = DevelopmentIssuer.open(tmp_path, clock)
    assert [path.name for path in tmp_path.iterdir()] == ["key.jwk"]
    assert identified(issuer.mint(roles=[], tenant="acme", user="u"), issuer)
