"""Every key and secret that an installation holds in files, and nothing of one itself.

What the configuration names is found by the type of its key (`lychgate.keys.secret_files`); what `lychgate up` made by
itself is found where it makes it.
"""

import stat
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from audit.errors import SealRefused
from audit.integrity.keys import key_id, load_public_key, load_seal_key
from audit.private_file import NotPrivate, read_private
from lychgate.keys.certificates import Certificate, certificate_of
from lychgate.keys.secret_files import SecretFile, secret_files
from policies.errors import BundleRefused
from policies.origin import public_key
from policies.pack import key_id as bundle_key_id
from roles.errors import ContextUnusable
from roles.security_context.key_ring import HeldKey, KeyRing

if TYPE_CHECKING:
    from lychgate.settings import Settings


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A key or another secret, or a file that should hold one.

    Attributes:
        kind: What it is for: `context`, `seal`, `seal-public`, `bundle-public`, `cursor`, `page`, `fleet`, `tls`,
            `issuer`, and of what is no key `password`, `dsn`, `api-key`, `headers`, `token`.
        kid: Its id; empty for bytes without a name, of which not even a digest is shown.
        alg: Its algorithm.
        state: `next`, `current`, `last`, `over`; `missing` for a file that is not there, `closed` for one that the
            asking user may not read and another process reads; `unusable`.
        made: When, RFC 3339; of a file that does not say, when it was written.
        signs_from: From when it signs or holds, where that is said.
        believed_until: Until when what it signed is believed, or it holds, where that is said.
        file: Where it is.
        mode: Of the file, octal.
        verdict: `private` if its owner alone can have read or written it, `open` if not, `public` if it may be read.
        used_by: Who reads it.
        setting: The key of the configuration that names it; empty for what `lychgate up` made by itself.
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
    verdict: str = ""
    used_by: str
    setting: str = ""
    problem: str = ""


ORDER: Final = (
    *("context", "seal", "seal-public", "bundle-public", "cursor", "page", "fleet", "tls", "issuer"),
    *("password", "dsn", "api-key", "headers", "token"),
)
"""Kinds, as they are listed."""
_MADE_HERE: Final = frozenset({"context.key_file", "query.cursor_key_file"})
"""Made at the first start: a file that is not there is no fault."""
_USED_BY: Final = {
    "context.key_file": "gateway",
    "query.cursor_key_file": "query",
    "query.context_secret_file": "query",
    "audit.integrity.key_file": "gateway or consumer",
    "audit.kafka.": "gateway, consumer",
    "audit.outbox.": "audit outbox relay",
    "audit.sinks.": "gateway or relay",
    "store.owner.": "migrate",
    "store.writer.": "gateway, relay or consumer",
    "store.reader.": "query, policy replay",
    "store.keeper.": "gateway or consumer, audit",
    "samples.": "service",
}
"""Who reads the file of a key, by how the key begins; the gateway, where nothing is said."""
_KINDS: Final = {
    "query.cursor_key_file": "cursor",
    "decision_api.page_key_file": "page",
    "redis.fleet_key_file": "fleet",
    "audit.integrity.key_file": "seal",
}
_KINDS_BY_END: Final = {
    "password_file": "password",
    "dsn_file": "dsn",
    "api_key_file": "api-key",
    "headers_file": "headers",
    "token_file": "token",
}
_JWK: Final = ("context.hs256_key_files.", "query.context_secret_file", "samples.trust.secret_files.")
_WANTED: Final = frozenset({"fleet", "tls"})
"""Kinds of which a file that is missing is a fault. A password that is not here may be another process's."""


def inventory(settings: "Settings", now: float) -> list[Row]:
    """Every one, kind by kind: what the configuration names, then what `lychgate up` made.

    Args:
        settings: The configuration.
        now: Seconds since the epoch.
    """
    found = _in_use(settings)
    rows = [row for named in found for row in _rows(named, settings, now)]
    for file in settings.audit.integrity.public_keys:
        rows += _one("seal-public", SecretFile("audit.integrity.public_keys", file), "EdDSA", _public_seal_id)
    for file in settings.policies.bundle_public_keys:
        rows += _one("bundle-public", SecretFile("policies.bundle_public_keys", file), "EdDSA", _bundle_id)
    rows += _of_up(settings, now, {named.file for named in found})
    return sorted(rows, key=lambda row: ORDER.index(row.kind))


def key_findings(settings: "Settings", now: float) -> list[str]:
    """What is wrong with the files, with their places; the sections that name the others judge them."""
    kinds = {"context", "cursor"}
    return [f"{row.file}: {row.problem}" for row in inventory(settings, now) if row.problem and row.kind in kinds]


def open_findings(settings: "Settings", now: float) -> Iterator[tuple[str, str]]:
    """Files with secrets that others may read: what is wrong with each, and the same with its place."""
    for row in inventory(settings, now):
        if row.verdict == "open":
            named = f"{row.setting}: " if row.setting else ""
            yield row.problem, f"{named}{row.file}: {row.problem}"


def _in_use(settings: "Settings") -> list[SecretFile]:
    """What is named, each file once; the shared keys of an algorithm that is not used are nobody's."""
    seen: set[Path] = set()
    found = []
    hs256 = settings.context.alg == "HS256"
    for named in secret_files(settings):
        unused = named.key == "context.key_file" if hs256 else named.key.startswith("context.hs256_key_files.")
        if not unused and named.file not in seen:
            seen.add(named.file)
            found.append(named)
    return found


def _is_context(key: str) -> bool:
    return key == "context.key_file" or key.startswith(_JWK)


def _rows(named: SecretFile, settings: "Settings", now: float) -> Iterator[Row]:
    key = named.key
    if _is_context(key):
        yield from _context(named, settings.context.alg if key == "context.key_file" else "HS256", now)
    elif (kind := kind_of(key)) == "seal":
        yield from _one(kind, named, "EdDSA", _seal_id)
    elif kind in {"cursor", "page"}:
        yield from _one(kind, named, "HS256", _bytes_of)
    elif kind == "tls":
        yield _tls(named, now)
    else:
        yield _bare(kind, named)


def kind_of(key: str) -> str:
    """What the file of a key of the configuration is for."""
    if _is_context(key):
        return "context"
    return _KINDS.get(key) or _KINDS_BY_END.get(key.rpartition(".")[2], "tls")


def _of_up(settings: "Settings", now: float, listed: Iterable[Path]) -> Iterator[Row]:
    """What the one-machine stack made in its state folder, and no key names."""
    from lychgate.up.plan import state_paths

    paths, known = state_paths(settings), {file.absolute() for file in listed}

    def made_by_up(name: str) -> SecretFile | None:
        file = paths.get(name)
        return SecretFile("", file) if file is not None and file.absolute() not in known and file.exists() else None

    if (named := made_by_up("CONTEXT__KEY_FILE")) is not None:
        yield from _context(named, settings.context.alg, now)
    if (named := made_by_up("AUDIT__INTEGRITY__KEY_FILE")) is not None:
        yield from _one("seal", named, "EdDSA", _seal_id)
    if (named := made_by_up("QUERY__CURSOR_KEY_FILE")) is not None:
        yield from _one("cursor", named, "HS256", _bytes_of)
    folder = settings.up.state_folder
    issuer = folder / "issuer" / "key.jwk"
    if issuer.exists():
        yield from _one("issuer", SecretFile("", issuer), "ES256", _jwk_id, reader="issuer, up, token mint")
    for file in sorted((folder / "postgres").glob("*.password")):
        yield _bare("password", SecretFile("", file))


def _context(named: SecretFile, alg: str, now: float) -> Iterator[Row]:
    """A row a key of the file."""
    found = _seen("context", named)
    if found.state != "current":
        yield found
        return
    try:
        ring = KeyRing.parse(read_private(named.file))
        turns = ring.signing_at(now, alg)
    except OSError as exc:
        yield _unusable(found, exc)
    except ContextUnusable as exc:
        yield msgspec.structs.replace(found, state="unusable", verdict="private", problem=str(exc))
    else:
        found = msgspec.structs.replace(found, verdict="private")
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
    kind: str, named: SecretFile, alg: str, name: Callable[[Path], str], *, reader: str | None = None
) -> Iterator[Row]:
    """The row of a file with one key."""
    found = _seen(kind, named, reader)
    if found.state == "current":
        verdict = "public" if kind.endswith("-public") else "private"
        try:
            found = msgspec.structs.replace(found, kid=name(named.file), alg=alg, verdict=verdict)
        except OSError as exc:
            found = _unusable(found, exc)
        except (SealRefused, ContextUnusable, BundleRefused) as exc:
            reason = str(exc).removeprefix(f"{named.file}: ")
            verdict = "open" if isinstance(exc.__cause__, NotPrivate) else verdict
            found = msgspec.structs.replace(found, state="unusable", verdict=verdict, problem=reason)
    yield found


def _tls(named: SecretFile, now: float) -> Row:
    """A private key of TLS: what is said of it stands in its certificate."""
    found = _bare("tls", named)
    certificate = certificate_of(named.beside) if named.beside is not None else Certificate()
    state = "next" if now < certificate.begins else "over" if certificate.ends <= now else "current"
    return msgspec.structs.replace(
        found,
        kid=certificate.key_id,
        alg=certificate.alg,
        state=state if found.state == "current" else found.state,
        signs_from=_time(int(certificate.begins)) if certificate.key_id else "",
        believed_until=_time(int(certificate.ends)) if certificate.key_id else "",
    )


def _bare(kind: str, named: SecretFile) -> Row:
    """A secret of which no more is said than where it is, and whose it is."""
    found = _seen(kind, named)
    if found.state != "current":
        return found
    try:
        read_private(named.file)
    except NotPrivate as exc:
        return _unusable(found, exc)
    except PermissionError as exc:  # another process's, which may run as somebody else
        return msgspec.structs.replace(found, state="closed") if kind not in _WANTED else _unusable(found, exc)
    except OSError as exc:
        return _unusable(found, exc)
    return msgspec.structs.replace(found, verdict="private")


def _seen(kind: str, named: SecretFile, reader: str | None = None) -> Row:
    """What the file system knows."""
    reader = reader or used_by(named.key)
    try:
        status = named.file.stat()
    except OSError as exc:
        missing = isinstance(exc, FileNotFoundError)
        excused = named.key in _MADE_HERE or kind in _KINDS_BY_END.values()
        return Row(
            kind=kind,
            state="missing" if missing else "unusable",
            file=str(named.file),
            used_by=reader,
            setting=named.key,
            problem="" if missing and excused else exc.strerror or "cannot be read",
        )
    return Row(
        kind=kind,
        made=_time(int(status.st_mtime)),
        file=str(named.file),
        mode=f"{stat.S_IMODE(status.st_mode):04o}",
        used_by=reader,
        setting=named.key,
    )


def used_by(key: str) -> str:
    """Who reads the file of a key of the configuration."""
    if not key:
        return "up"
    if key.startswith("context.hs256_key_files."):
        return f"gateway, {key.rpartition('.')[2]}"
    if key.endswith("_keys"):
        return "audit verify" if key.startswith("audit.") else "gateway, query"
    return next((who for start, who in _USED_BY.items() if key.startswith(start)), "gateway")


def _unusable(found: Row, exc: OSError) -> Row:
    verdict = "open" if isinstance(exc, NotPrivate) else ""
    return msgspec.structs.replace(found, state="unusable", verdict=verdict, problem=exc.strerror or "cannot be read")


def _bytes_of(file: Path) -> str:
    """Bytes have no name."""
    read_private(file)
    return ""


def _jwk_id(file: Path) -> str:
    return KeyRing.parse(read_private(file)).keys[0].kid


def _seal_id(file: Path) -> str:
    return load_seal_key(file).key_id


def _public_seal_id(file: Path) -> str:
    return key_id(load_public_key(file))


def _bundle_id(file: Path) -> str:
    return bundle_key_id(public_key(file))


def _time(seconds: int | None) -> str:
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
