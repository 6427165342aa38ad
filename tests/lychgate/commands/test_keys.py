"""`lychgate keys` from the outside."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from roles.security_context.keys import new_private_jwk
from tests.builders.command import Done, run


class Installation:
    """A folder with a configuration and its keys."""

    def __init__(self, folder: Path, **context: Any) -> None:
        self.folder = folder
        self.file = folder / "context.jwk"
        given = {"context": {"key_file": str(self.file), **context}, "query": {"cursor_key_file": str(folder / "c")}}
        (folder / "lychgate.yaml").write_text(json.dumps({**given, "up": {"state_folder": str(folder)}}))
        self.file.touch(0o600)
        self.file.write_text(new_private_jwk())

    def keys(self, *words: str) -> Done:
        """`lychgate keys ...`."""
        return run("keys", *words, "--config", str(self.folder / "lychgate.yaml"))

    def listed(self) -> list[dict[str, Any]]:
        """What `list --json` says of the context keys."""
        rows: list[dict[str, Any]] = json.loads(self.keys("list", "--json").stdout)
        return [row for row in rows if row["kind"] == "context"]


def seconds(text: str) -> float:
    """Of a time as it is printed."""
    return datetime.fromisoformat(text).timestamp()


def test_the_next_key_signs_a_little_over_a_ttl_later(tmp_path: Path) -> None:
    """Published at least `ttl_s` before; the last is believed for `ttl_s` and what services cache; said twice, once."""
    here = Installation(tmp_path, ttl_s=90, services_cache_s=200)
    began = datetime.now(UTC).timestamp()
    done = here.keys("rotate", "--json")
    ended = datetime.now(UTC).timestamp()
    said = json.loads(done.stdout)
    assert began + 90 + 1 < seconds(said["signs_from"]) < ended + 90 + 5
    assert seconds(said["last_believed_until"]) - seconds(said["signs_from"]) == 290
    following, current = here.listed()
    assert (following["state"], following["kid"], current["state"]) == ("next", said["kid"], "current")
    again = here.keys("rotate")
    assert (again.returncode, again.stderr) == (
        1,
        f"lychgate: {here.file}: the next key is there already: {said['kid']}\n",
    )
    assert here.listed() == [following, current]
    table = here.keys("list")
    assert table.returncode == 0
    assert said["kid"] in table.stdout
    assert json.loads(here.file.read_text())["keys"][0]["d"] not in done.stdout + table.stdout


def test_a_short_ttl_still_leaves_services_time_to_ask(tmp_path: Path) -> None:
    """They ask at most once in five seconds."""
    here = Installation(tmp_path, ttl_s=1)
    began = datetime.now(UTC).timestamp()
    assert seconds(json.loads(here.keys("rotate", "--json").stdout)["signs_from"]) - began > 6


def test_at_once_and_retire(tmp_path: Path) -> None:
    """A stolen key goes; what is over goes, too."""
    here = Installation(tmp_path)
    here.keys("rotate")
    done = here.keys("rotate", "--now")
    [only] = here.listed()
    assert f"{only['kid']} signs now; no other key" in done.stdout
    assert here.keys("retire").stdout == f"context: 1 of them stay in {here.file}\n"
    assert here.keys("rotate", "--now", "--in", "5").returncode == 2
    assert here.keys("rotate", "--in", str(10**12)).returncode == 2


def test_each_service_has_its_own(tmp_path: Path) -> None:
    """One is rotated, the other is not; a service nobody knows is a mistake."""
    files = {name: tmp_path / f"{name}.jwk" for name in ("order", "payment")}
    for file in files.values():
        file.touch(0o600)
        file.write_text(new_private_jwk("HS256"))
    here = Installation(tmp_path, alg="HS256", hs256_key_files={name: str(file) for name, file in files.items()})
    payment = files["payment"].read_text()
    assert here.keys("rotate", "--service", "order", "--in", "3600").returncode == 0
    assert [row["state"] for row in here.listed()] == ["next", "current", "current"]
    assert files["payment"].read_text() == payment
    rest = here.keys("rotate")  # after one that stopped half way: the others do not wait for what is done already
    assert rest.returncode == 1
    assert f"{files['order']}: the next key is there already" in rest.stderr
    assert [row["state"] for row in here.listed()] == ["next", "current", "next", "current"]
    files["payment"].write_text(payment)
    assert "names no file for it" in here.keys("rotate", "--service", "other").stderr
    assert "name one --service" in here.keys("rotate", "--out", str(tmp_path / "x")).stderr
    assert here.keys("rotate", "--service", "payment", "--out", str(tmp_path / "x")).returncode == 0
    assert files["payment"].read_text() == payment
    assert len(json.loads((tmp_path / "x").read_text())["keys"]) == 2


def test_a_first_key_is_made_where_no_gateway_shall(tmp_path: Path) -> None:
    """A file that is there stays; what is printed is no key."""
    file = tmp_path / "order.jwk"
    done = run("keys", "new", str(file), "--alg", "HS256", "--json")
    assert done.returncode == 0
    kid = json.loads(file.read_text())["kid"]
    assert json.loads(done.stdout) == {"file": str(file), "kid": kid, "alg": "HS256"}
    again = run("keys", "new", str(file))
    assert (again.returncode, again.stderr) == (2, f"lychgate: {file}: File exists\n")
    assert run("keys", "new", str(tmp_path / "x"), "--alg", "none").returncode == 2


@pytest.mark.parametrize("words", [("rotate",), ("retire",), ("list",)])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    """By all of them, with its place; `config check` has it, too."""
    here = Installation(tmp_path)
    here.file.chmod(0o644)
    done = here.keys(*words)
    assert done.returncode == (1 if words == ("list",) else 2)
    assert "others may read or write it" in done.stdout + done.stderr
    assert "--service" in here.keys("rotate", "--service", "order").stderr
