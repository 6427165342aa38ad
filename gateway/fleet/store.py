"""What stands in Redis, and how it is read and written. Hostile until its seal is checked.

    <prefix>:revocations   hash    entry id -> sealed entry: the state
    <prefix>:changes       stream  the same sealed entries as they change: the push; the newest 10,000
    <prefix>:gateways      hash    node -> sealed policy version and time: who is there

State and push are written in one transaction. A reader follows the stream; what it misses it finds in the hash.
"""

import ssl
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Final, cast

import msgspec
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import RedisSSLContext, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from audit.key_pair import load_key_pair
from audit.private_file import read_private
from gateway.fleet.seal import Seal
from gateway.fleet_settings import RedisSettings
from gateway.revocations import Revocation, is_sound

BLOCK_S: Final = 0.5
"""How long a read of the stream waits; so often is it known that Redis is there."""
_CHANGES: Final = 10_000
_BATCH: Final = 500
_READ: Final = 1_000
_GATEWAYS: Final = 1_000
"""More gateways than this are not looked at."""
GONE_S: Final = 10.0
"""A gateway that has not been heard of for so long is not counted; after an hour its name is taken out."""
_FORGOTTEN_S: Final = 3600.0
_ENTRY: Final = "revocation"
_GATEWAY: Final = "gateway"


class Announcement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gateway says of itself.

    Attributes:
        node: Its name.
        policy_version: By which it decides.
        at: When, by Redis' clock, seconds since the epoch.
    """

    node: str
    policy_version: str
    at: float


class Read(msgspec.Struct):
    """What was read.

    Attributes:
        entries: By id, those that were sealed with our key.
        unsealed: How many values were not.
        ids: Every field of the hash, whatever it holds.
    """

    entries: dict[str, Revocation] = {}
    unsealed: int = 0
    ids: set[bytes] = set()


def connect(settings: RedisSettings, password: str | None) -> Redis:
    """A client; nothing is sent before it is used. It tries nothing twice: who uses it knows better what to do then.

    Raises:
        ValueError: The certificates cannot be used.
    """
    host, port, database = settings.address
    options: dict[str, Any] = {}
    if settings.over_tls:
        try:
            _context(settings)  # now, and not at the first connection
        except (OSError, ValueError) as exc:
            files = ", ".join(
                str(path) for path in (settings.ca_file, settings.cert_file, settings.cert_key_file) if path
            )
            raise ValueError(f"{files}: cannot be used: {_reason(exc)}") from None
        options = {"connection_class": _TlsConnection, "tls": settings}
    pool = ConnectionPool(
        host=host,
        port=port,
        db=database,
        username=settings.username,
        password=password,
        socket_timeout=settings.timeout_s + BLOCK_S,
        socket_connect_timeout=settings.timeout_s,
        retry=Retry(NoBackoff(), 0),
        client_name="lychgate",
        **options,
    )
    return Redis.from_pool(pool)


class _Tls(RedisSSLContext):
    """Certificates that we read ourselves, at each connect: the client would not look at a key's mode."""

    def __init__(self, settings: RedisSettings) -> None:
        super().__init__()
        self._settings = settings

    def get(self) -> ssl.SSLContext:
        return _context(self._settings)


class _TlsConnection(SSLConnection):
    """A connection with them."""

    def __init__(self, *, tls: RedisSettings, **given: Any) -> None:
        super().__init__(**given)
        self.ssl_context = _Tls(tls)


class FleetStore:
    """The fleet's part of a Redis.

    Args:
        redis: The client.
        prefix: What key names begin with.
        seal: The fleet's.
        limit: More entries than this are not read.
    """

    def __init__(self, redis: Redis, prefix: str, seal: Seal, limit: int) -> None:
        self._redis = redis
        self._state = f"{prefix}:revocations"
        self._changes = f"{prefix}:changes"
        self._gateways = f"{prefix}:gateways"
        self._seal = seal
        self._limit = limit

    async def close(self) -> None:
        """Leave."""
        await self._redis.aclose()

    async def last_change(self) -> bytes:
        """Where to follow the stream from, so that nothing is missed that is not in a state read after this."""
        newest = await _answer(self._redis.xrevrange(self._changes, count=1))
        return cast("bytes", newest[0][0]) if newest else b"0-0"

    async def count(self) -> int:
        """How many entries the state has."""
        return int(await _answer(self._redis.hlen(self._state)))

    async def read(self) -> Read:
        """The whole state.

        Raises:
            ValueError: It has more entries than anybody could have made.
        """
        found = Read()
        cursor = 0
        while True:
            cursor, fields = await _answer(self._redis.hscan(self._state, cursor, count=_READ))
            for name, value in fields.items():
                found.ids.add(name)
                self._take(found, value, name)
            if len(found.ids) > self._limit:
                raise ValueError("more entries than a fleet may have")
            if not cursor:
                return found

    async def follow(self, after: bytes) -> tuple[Read, bytes]:
        """What has changed after a place in the stream, and the place it goes to; waits for `BLOCK_S` at most."""
        answer = await _answer(self._redis.xread({self._changes: after}, count=_READ, block=int(BLOCK_S * 1000)))
        found = Read()
        for _, changes in _streams(answer):
            for place, fields in changes:
                after = place
                self._take(found, (fields or {}).get(b"entry", b""))
        return found, after

    async def write(self, entries: Iterable[Revocation]) -> None:
        """Put entries into the state, and tell everybody."""
        pending = list(entries)
        for start in range(0, len(pending), _BATCH):
            async with self._redis.pipeline(transaction=True) as pipe:
                for entry in pending[start : start + _BATCH]:
                    sealed = self._seal.put(_ENTRY, msgspec.json.encode(entry))
                    pipe.hset(self._state, entry.id, sealed)
                    pipe.xadd(self._changes, {"entry": sealed}, maxlen=_CHANGES, approximate=True)
                await pipe.execute()

    async def remove(self, ids: Iterable[str]) -> None:
        """Take entries that are over out of the state."""
        pending = list(ids)
        for start in range(0, len(pending), _BATCH):
            await _answer(self._redis.hdel(self._state, *pending[start : start + _BATCH]))

    async def announce(self, node: str, policy_version: str) -> tuple[Announcement, ...]:
        """Say which policies are in force here; returns what every gateway said last, of those that are there."""
        seconds, micros = await _answer(self._redis.time())
        now = seconds + micros / 1e6
        ours = Announcement(node, policy_version, now)
        await _answer(self._redis.hset(self._gateways, node, self._seal.put(_GATEWAY, msgspec.json.encode(ours))))
        if int(await _answer(self._redis.hlen(self._gateways))) > _GATEWAYS:
            return (ours,)
        said = await _answer(self._redis.hgetall(self._gateways))
        found: list[Announcement] = []
        for name, value in said.items():
            told = self._announcement(name, value)
            if told is None or now - told.at > _FORGOTTEN_S:
                await _answer(self._redis.hdel(self._gateways, name))
            elif now - told.at <= GONE_S:
                found.append(told)
        return tuple(sorted(found, key=lambda told: told.node))

    def _announcement(self, name: bytes, value: bytes) -> Announcement | None:
        text = self._seal.open(_GATEWAY, value)
        if text is None:
            return None
        try:
            told = msgspec.json.decode(text, type=Announcement)
        except msgspec.MsgspecError:
            return None
        return told if told.node.encode() == name else None

    def _take(self, found: Read, value: bytes, name: bytes | None = None) -> None:
        """Read one sealed value; `name` is where it stood."""
        text = self._seal.open(_ENTRY, value)
        try:
            entry = msgspec.json.decode(text, type=Revocation) if text is not None else None
        except msgspec.MsgspecError:
            entry = None
        if entry is None or not is_sound(entry) or (name is not None and entry.id.encode("ascii") != name):
            found.unsealed += 1
            return
        found.entries[entry.id] = entry


def _context(settings: RedisSettings) -> ssl.SSLContext:
    """TLS as Redis' client: its certificate is checked, and that it names the host.

    Raises:
        OSError: A file cannot be used; `ssl.SSLError` is one.
        ValueError: As `load_key_pair`.
    """
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.cert_file is not None and settings.cert_key_file is not None:
        load_key_pair(context, settings.cert_file.read_bytes(), read_private(settings.cert_key_file))
    return context


def _reason(exc: Exception) -> str:
    return getattr(exc, "reason", None) or getattr(exc, "strerror", None) or type(exc).__name__


def _streams(answer: Any) -> Iterable[tuple[bytes, list[tuple[bytes, Mapping[bytes, bytes]]]]]:
    """The answer to XREAD, a list of pairs in one version of the protocol and a map of lists in the other."""
    if not answer:
        return ()
    if isinstance(answer, Mapping):
        return [(name, [change for part in parts for change in part]) for name, parts in answer.items()]
    return cast("list[tuple[bytes, list[tuple[bytes, Mapping[bytes, bytes]]]]]", answer)


async def _answer(awaited: Any) -> Any:
    """The client's methods are typed as if they might not be awaited."""
    return await cast("Awaitable[Any]", awaited)
