"""What is asked: how many, by whom, and that everybody is sent the same."""

import json
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import KeySet

from load.bench.work import BODY_BYTES, REQUESTS, RESOURCES, STOCK, TENANTS, USERS, prepare


def requests(folder: Path, name: str) -> list[str]:
    """A prepared file, request by request."""
    return (folder / f"{name}.requests").read_bytes().decode("ascii").split("\x01")


def test_the_work_is_what_the_numbers_are_about(tmp_path: Path) -> None:
    """1,000 users of 20 tenants, 200 orders, 10,000 reads; every tenth of the mixed ones comes from the stock room."""
    work = prepare(tmp_path)
    keys = KeySet.import_key_set(json.loads(work.jwks.read_text()))
    reads, mixed, writes = (requests(tmp_path, name) for name in ("reads", "mixed", "writes"))
    assert len(reads) == len(mixed) == len(writes) == len(set(reads)) == REQUESTS

    def claims(request: str) -> dict[str, object]:
        token = request.partition("Bearer ")[2].partition("\r\n")[0]
        return dict(jwt.decode(token, keys, algorithms=["RS256"]).claims)

    seen = [claims(request) for request in reads[:USERS]]
    assert len({claim["sub"] for claim in seen}) == USERS
    assert len({claim["tenant_id"] for claim in seen}) == TENANTS
    assert len({request.split()[1] for request in reads}) == RESOURCES
    changed = [n for n in range(REQUESTS) if reads[n] != mixed[n]]
    assert changed == list(range(9, REQUESTS, 10))
    assert {str(claims(mixed[n])["roles"]) for n in changed[:50]} == {str([STOCK])}
    assert {len(request.partition("\r\n\r\n")[2]) for request in writes} == {BODY_BYTES}
    assert all(f"Content-Length: {BODY_BYTES}\r\n" in request for request in writes)
