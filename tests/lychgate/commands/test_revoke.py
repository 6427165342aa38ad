"""`lychgate token revoke`, run as a user does, against a port that a test scripts."""

import asyncio
import contextlib
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from lychgate.commands.revoke import named
from lychgate.errors import LychgateError
from tests.builders import plane

ROOT = Path(__file__).parents[3]
ENTRY = {"id": "0" * 32, "kind": "user", "sub": "mia", "workers": 2}


@contextlib.asynccontextmanager
async def port(status: int, answer: Mapping[str, object]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A port that answers everything so; yields its url and what it was sent."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        seen.extend((head, await reader.readexactly(length)))
        body = json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


async def revoke(folder: Path, *words: str) -> tuple[int, str, str]:
    """Run the command; returns exit code, standard output and error."""
    (folder / "root.token").write_text("root-credential\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lychgate", "token", "revoke", "--credential-file", str(folder / "root.token"), *words),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_user_is_revoked(tmp_path: Path) -> None:
    """In the gateway's form, with the credential; what was made is printed, for people or as JSON."""
    async with port(201, ENTRY) as (url, seen):
        words = ("--user", "dev/acme/mia/1", "--issued-before", "2026-11-25T08:00:00Z", "--url", url)
        code, out, err = await revoke(tmp_path, *words, "--json")
        assert (code, json.loads(out), err) == (0, ENTRY, "")
        head, body = seen
        assert head.startswith(b"POST /revocations HTTP/1.1\r\n")
        assert b"authorization: bearer root-credential" in head.lower()
        user = {"issuer": "dev", "tenant": "acme", "sub": "mia/1"}
        assert json.loads(body) == {"user": user, "issued_before": 1764057600.0 + 365 * 86400}


async def test_for_people_a_line_a_fact(tmp_path: Path) -> None:
    """With times that can be read."""
    async with port(200, {**ENTRY, "made_at": 1_795_653_855.25, "issued_before": 0}) as (url, _):
        code, out, _ = await revoke(tmp_path, "--tenant", "acme", "--url", url)
        assert code == 0
        assert "revoked" in out
        assert "2026-11-26T00:44:15.250+00:00" in out
        assert "0" * 32 in out


async def test_what_the_gateway_refuses_is_exit_code_1(tmp_path: Path) -> None:
    """With its answer, so that the record can be found."""
    refusal = {"code": "forbidden", "missing_role": "SuperAdmin", "trace_id": "ab" * 16}
    async with port(403, refusal) as (url, _):
        code, out, err = await revoke(tmp_path, "--tenant", "acme", "--url", url)
        assert code == 1
        assert err == "not revoked; the gateway's record of this trace says why\n"
        assert "forbidden" in out
        assert "refused" in out


async def test_usage_is_exit_code_2(tmp_path: Path) -> None:
    """And says what is wrong."""
    code, _, err = await revoke(tmp_path, "--tenant", "acme", "--user", "a/b/c")
    assert (code, err) == (2, "lychgate: give one of --token-file, --user and --tenant\n")
    code, _, err = await revoke(tmp_path, "--tenant", "acme", "--url", "http://127.0.0.1:1")
    assert (code, "cannot be asked: ConnectError; nothing is known to be revoked" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"user": "a/b"}, "--user is ISSUER/TENANT/SUB"),
        ({"tenant": "a", "issued_before": "yesterday"}, "--issued-before is not an RFC 3339 time"),
        ({"tenant": "a", "issued_before": "2026-11-25"}, "--issued-before needs an offset"),
        ({"token_file": "x", "issued_before": "2026-11-25T00:00:00Z"}, "--issued-before belongs to --user or --tenant"),
        ({"token_file": "none"}, "none: cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_asked(words: dict[str, str], why: str) -> None:
    """Nothing is sent."""
    from lychgate.commands.revoke import _body

    file = words.get("token_file")
    with pytest.raises(LychgateError, match=why):
        _body(Path(file) if file else None, words.get("user"), words.get("tenant"), words.get("issued_before"))


def test_a_token_is_named_by_what_was_signed() -> None:
    """Until its `exp`; what is no token is refused without being shown."""
    token = plane.token(exp=4_000_000_000)
    digest = hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()
    assert named(token, "f") == {"token_sha256": digest, "expires_at": 4_000_000_000}
    for wrong in ("", "secret", "a.b.c", "a.b", token + ".x", "e30.e30.x", "e30.eyJleHAiOiJ4In0.x"):
        with pytest.raises(LychgateError) as caught:
            named(wrong, "f")
        assert str(caught.value) == "f: not a token with an exp"
