"""Every key the configuration names, and nothing of a key itself: kind, id, algorithm, whose turn, file, mode."""

import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from audit.errors import SealRefused
from audit.integrity.keys import key_id, load_public_key, load_seal_key
from audit.private_file import read_private
from lychgate.up.settings import SEAL_KEY
from roles.errors import ContextUnusable
from roles.security_context.key_ring import HeldKey, KeyRing

if TYPE_CHECKING:
    from lychgate.settings import Settings


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A key, or a file that should hold one.

    Attributes:
        kind: What it is for: `context`, `seal`, `seal-public`, `cursor`, `page`, `fleet`, `tls`, `issuer`.
        kid: Its id; empty for bytes without a name.
        alg: Its algorithm.
        state: `next`, `current`, `last`, `over`; `missing` for a file that is not there; `unusable`.
        made: When, RFC 3339; of a file that does not say, when it was written.
        signs_from: From when it signs, where the file says.
        believed_until: Until when what it signed is believed, where the file says.
        file: Where it is.
        mode: Of the file, octal.
        used_by: Who reads it.
        problem: Why it cannot be used.
    """

    kind: str
    kid: str = ""
    alg: str = ""
    state: str = "current"
    made: str = ""
    signs_from: str = ""
    believed_until: str = ""
    file: str
    mode: str = ""
    used_by: str
    problem: str = ""


def inventory(settings: "Settings", now: float) -> list[Row]:
    """Every key, in the order of the configuration.

    Args:
        settings: The configuration.
        now: Seconds since the epoch.
    """
    context, integrity, query = settings.context, settings.audit.integrity, settings.query
    rows: list[Row] = []
    if context.alg == "HS256":
        for service, file in context.hs256_key_files.items():
            rows += _context(file, context.alg, now, f"gateway, {service}", made_here=False)
    else:
        rows += _context(context.key_file, context.alg, now, "gateway", made_here=True)
    if query.context_secret_file is not None and query.context_secret_file not in context.hs256_key_files.values():
        rows += _context(query.context_secret_file, "HS256", now, "query", made_here=False)
    seal, sealed_by = integrity.key_file, "gateway or consumer"
    if seal is None and (of_up := settings.up.state_folder / SEAL_KEY).exists():
        seal, sealed_by = of_up, "up"
    if seal is not None:
        rows += _one("seal", seal, "EdDSA", sealed_by, lambda file: load_seal_key(file).key_id)
    for file in integrity.public_keys:
        rows += _one("seal-public", file, "EdDSA", "audit verify", lambda file: key_id(load_public_key(file)))
    rows += _one("cursor", query.cursor_key_file, "HS256", "query", _bytes_of, made_here=True)
    if settings.decision_api.page_key_file is not None:
        rows += _one("page", settings.decision_api.page_key_file, "HS256", "gateway", _bytes_of)
    rows += [_seen(file, used_by, kind, made_here=False) for kind, file, used_by in _bare(settings)]
    issuer = settings.up.state_folder / "issuer" / "key.jwk"
    if issuer.exists():
        rows += _one("issuer", issuer, "ES256", "issuer, up, token mint", _jwk_id)
    return rows


def _bare(settings: "Settings") -> Iterator[tuple[str, Path, str]]:
    """Keys of which no more is said than where they are: kind, file, and who reads it."""
    found = [
        ("fleet", settings.redis.fleet_key_file if settings.redis.url else None, "gateway"),
        ("tls", settings.gateway.tls.key_file, "gateway"),
        ("tls", settings.redis.cert_key_file, "gateway"),
        ("tls", settings.audit.kafka.tls.key_file, "gateway, consumer"),
        *(("tls", service.tls.key_file, "gateway") for service in settings.services.values()),
    ]
    return ((kind, file, used_by) for kind, file, used_by in found if file is not None)


def key_findings(settings: "Settings", now: float) -> list[str]:
    """What is wrong with the files, with their places; seals and their keys are `audit.integrity`'s to judge."""
    kinds = {"context", "cursor", "page"}
    return [f"{row.file}: {row.problem}" for row in inventory(settings, now) if row.problem and row.kind in kinds]


def _context(file: Path, alg: str, now: float, used_by: str, *, made_here: bool) -> Iterator[Row]:
    """A row a key of the file."""
    found = _seen(file, used_by, "context", made_here=made_here)
    if found.state != "current":
        yield found
        return
    try:
        ring = KeyRing.parse(read_private(file))
        turns = ring.signing_at(now, alg)
    except OSError as exc:
        yield msgspec.structs.replace(found, state="unusable", problem=exc.strerror or "cannot be read")
    except ContextUnusable as exc:
        yield msgspec.structs.replace(found, state="unusable", problem=str(exc))
    else:
        for key in reversed(ring.keys):
            state = "next" if key in turns.next else "last" if key in turns.last else "over"
            of_file = found if len(ring.keys) == 1 else msgspec.structs.replace(found, made="")  # written since
            yield _of(key, of_file, "current" if key == turns.current else state)


def _of(key: HeldKey, found: Row, state: str) -> Row:
    return msgspec.structs.replace(
        found,
        kid=key.kid,
        alg=key.alg,
        state=state,
        made=_time(key.made_at) or found.made,
        signs_from=_time(key.signs_from or None),
        believed_until=_time(key.believed_until),
    )


def _one(
    kind: str, file: Path, alg: str, used_by: str, name: Callable[[Path], str], *, made_here: bool = False
) -> Iterator[Row]:
    """The row of a file with one key."""
    found = _seen(file, used_by, kind, made_here=made_here)
    if found.state == "current":
        try:
            found = msgspec.structs.replace(found, kid=name(file), alg=alg)
        except OSError as exc:
            found = msgspec.structs.replace(found, state="unusable", problem=exc.strerror or "cannot be read")
        except (SealRefused, ContextUnusable) as exc:
            reason = str(exc).removeprefix(f"{file}: ")
            found = msgspec.structs.replace(found, state="unusable", problem=reason)
    yield found


def _seen(file: Path, used_by: str, kind: str, *, made_here: bool) -> Row:
    """What the file system knows."""
    try:
        status = file.stat()
    except OSError as exc:
        missing = isinstance(exc, FileNotFoundError)
        problem = "" if missing and made_here else exc.strerror or "cannot be read"
        return Row(
            kind=kind,
            state="missing" if missing else "unusable",
            file=str(file),
            used_by=used_by,
            problem=problem,
        )
    return Row(
        kind=kind,
        made=_time(int(status.st_mtime)),
        file=str(file),
        mode=f"{stat.S_IMODE(status.st_mode):04o}",
        used_by=used_by,
    )


def _bytes_of(file: Path) -> str:
    """Bytes have no name."""
    read_private(file)
    return ""


def _jwk_id(file: Path) -> str:
    return KeyRing.parse(read_private(file)).keys[0].kid


def _time(seconds: int | None) -> str:
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
