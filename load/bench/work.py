"""What is asked: a shop's requests, with RS256 tokens of an issuer of our own.

1,000 users of 20 tenants read 200 orders: 10,000 prepared requests, each user with ten orders, each order by fifty
users, in an order in which neither repeats soon. Everybody who is measured gets the same bytes.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from joserfc import jwt
from joserfc.jwk import RSAKey

ISS: Final = "https://issuer.bench.example"
AUDIENCE: Final = "lychgate"
HOST: Final = "shop.example"
USERS, TENANTS, RESOURCES, REQUESTS = 1000, 20, 200, 10_000
BODY_BYTES: Final = 200
SELLER: Final = "POS_OPERATOR"
"""The point of sale's own name for who sells; the catalogue maps it."""
STOCK: Final = "wms_picker"
"""Who works in the stock room reads no orders: refused."""
SHOP: Final = "store_manager"
"""Who runs a shop may add products."""

_ALG: Final = "RS256"
_TTL_S: Final = 12 * 3600
_SEPARATOR: Final = "\x01"
"""Between requests in a file; no request holds it."""
_WRK: Final = """\
-- Prepared requests, one after the other, again and again.
local requests, at = {{}}, 0
function init()
  local file = assert(io.open({file}, "rb"))
  for request in file:read("*a"):gmatch("[^\\1]+") do requests[#requests + 1] = request end
  file:close()
end
function request()
  at = at % #requests + 1
  return requests[at]
end
"""


@dataclass(frozen=True, slots=True)
class Script:
    """A list of requests as `wrk` sends it.

    Attributes:
        name: Of the file.
        file: The Lua script.
        refused: The share of the requests that an authorizer refuses, 0 to 1.
    """

    name: str
    file: Path
    refused: float


@dataclass(frozen=True, slots=True)
class Work:
    """Everything that is sent.

    Attributes:
        jwks: The issuer's public keys, a file.
        reads: Reads of one order, all allowed.
        mixed: The same with every tenth refused.
        writes: New orders, 200 bytes of JSON each, all allowed.
        token: One seller's, for programs that send one head.
        shop_token: Of one who may add products.
        paths: The 200 orders.
    """

    jwks: Path
    reads: Script
    mixed: Script
    writes: Script
    token: str
    shop_token: str
    paths: tuple[str, ...]


def prepare(folder: Path) -> Work:
    """Make keys, tokens and requests in a folder."""
    key = RSAKey.generate_key(2048, auto_kid=True)
    jwks = folder / "jwks.json"
    public = {**key.as_dict(private=False), "use": "sig", "alg": _ALG}
    jwks.write_text(json.dumps({"keys": [public]}), encoding="utf-8")

    now = int(time.time())
    sellers = [_token(key, n, SELLER, now) for n in range(USERS)]
    pickers = [_token(key, n, STOCK, now) for n in range(0, USERS, 10)]
    paths = tuple(f"/orders/o-{n:05d}" for n in range(RESOURCES))

    # 7 and 1,000 share no factor, so a user comes back only after all others; the order changes with each lap.
    users = [n * 7 % USERS for n in range(REQUESTS)]
    orders = [paths[(n * 3 + n // USERS) % RESOURCES] for n in range(REQUESTS)]
    reads = [_get(path, sellers[user]) for user, path in zip(users, orders, strict=True)]
    mixed = [_get(path, pickers[n // 10 % len(pickers)]) if n % 10 == 9 else reads[n] for n, path in enumerate(orders)]
    writes = [_post("/orders", sellers[user], n) for n, user in enumerate(users)]
    return Work(
        jwks=jwks,
        reads=_script(folder, "reads", reads, 0.0),
        mixed=_script(folder, "mixed", mixed, 0.1),
        writes=_script(folder, "writes", writes, 0.0),
        token=sellers[0],
        shop_token=_token(key, 0, SHOP, now),
        paths=paths,
    )


def _token(key: RSAKey, user: int, role: str, now: int) -> str:
    claims = {
        "iss": ISS,
        "aud": AUDIENCE,
        "sub": f"user-{user:04d}",
        "tenant_id": f"tenant-{user % TENANTS:02d}",
        "roles": [role],
        "iat": now,
        "exp": now + _TTL_S,
        "jti": f"{role}-{user}",
    }
    return jwt.encode({"alg": _ALG, "typ": "JWT", "kid": key.kid}, claims, key, [_ALG])


def _get(path: str, token: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept: application/json\r\nAuthorization: Bearer {token}\r\n\r\n"


def _post(path: str, token: str, number: int) -> str:
    order = {"order": f"n-{number:06d}", "lines": [{"sku": f"sku-{number % 977:04d}", "count": 1 + number % 5}]}
    body = json.dumps({**order, "note": ""})
    body = json.dumps({**order, "note": "x" * (BODY_BYTES - len(body))})
    return (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n{body}"
    )


def _script(folder: Path, name: str, requests: list[str], refused: float) -> Script:
    data = folder / f"{name}.requests"
    data.write_bytes(_SEPARATOR.join(requests).encode("ascii"))
    script = folder / f"{name}.lua"
    script.write_text(_WRK.format(file=json.dumps(str(data))), encoding="ascii")
    return Script(name, script, refused)
