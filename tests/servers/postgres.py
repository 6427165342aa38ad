"""A real PostgreSQL for the tests: one a session, a database of its own for each test.

`LYCHGATE_TEST_POSTGRES` (the owner's DSN, a superuser's) names a server that is there already; otherwise one is started
from the wheel on a free port, in a folder of its own, and is gone afterwards. It runs without fsync: what a test proves
about durability it proves on the spool.

A test module that says `BOTH_SERVERS = True` runs a second time on Debian's PostgreSQL 15, the oldest we support.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import pytest

from audit.codec import decode
from audit.migrate import KEEPER, READER, WRITER, migrate
from lychgate.ports import free_port
from lychgate.postgres import PostgresServer
from lychgate.postgres.place import SYSTEM_USER, system_account, wheel
from tests.builders.registered import registered

ADDRESS_VARIABLE = "LYCHGATE_TEST_POSTGRES"
WRITER_PASSWORD = "the-writer-of-the-tests"
READER_PASSWORD = "the-reader-of-the-tests"
KEEPER_PASSWORD = "the-keeper-of-the-tests"
DEBIAN = Path("/usr/lib/postgresql/15/bin")
_WHEEL, _DEBIAN = "wheel", "debian15"
_READY_WITHIN_S = 60.0
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
_OWN_EVENTS = "SELECT body FROM audit_events WHERE producer_id IN ('audit-keeper', 'audit-consumer', 'policy-replay')"
"""What our own processes have said in a store; whatever else is in one, tests have made up."""


@dataclass(frozen=True)
class Postgres:
    """A running server and how its owner logs in."""

    owner_dsn: str

    def dsn(self, database: str) -> str:
        """The owner's DSN of another database."""
        return urlunsplit(urlsplit(self.owner_dsn)._replace(path=f"/{database}"))

    def sql(self, statement: str, *, database: str | None = None) -> str:
        """Run one statement as the owner, synchronously; returns what psql prints, unaligned."""
        to = urlsplit(self.owner_dsn if database is None else self.dsn(database))
        login = {"PGHOST": to.hostname, "PGPORT": str(to.port), "PGUSER": to.username, "PGDATABASE": to.path[1:]}
        login["PGPASSWORD"] = unquote(to.password or "")
        command = [str(wheel() / "bin" / "psql"), "--no-psqlrc", "-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", statement]
        environment = {name: value for name, value in login.items() if value}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{statement}: {done.stderr.strip()}")
        return done.stdout.strip()

    def create(self, template: str = "template1") -> str:
        """Make a fresh database, return its name."""
        name = f"t_{uuid.uuid4().hex[:16]}"
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real server, for the whole session."""
    if given := os.environ.get(ADDRESS_VARIABLE):
        yield Postgres(given)
        return
    # Not pytest's tmp_path: that is 0700, and under root the server runs as a user who could not enter it.
    folder = Path(tempfile.mkdtemp(prefix="lychgate-test-"))
    folder.chmod(0o711)
    server = PostgresServer(folder / "postgres", options=_FAST, sync=False)
    try:
        server.start()
        yield Postgres(server.dsn())
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres15() -> Iterator[Postgres]:
    """Debian's PostgreSQL 15, for the whole session. Skipped where it is not installed; a failure where CI is set."""
    if not (DEBIAN / "initdb").exists():
        missing = f"there is no PostgreSQL 15 in {DEBIAN} (Debian's postgresql-15)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    folder = Path(tempfile.mkdtemp(prefix="lychgate-test-15-"))
    folder.chmod(0o711)
    account = system_account(SYSTEM_USER, lambda _: None) if os.geteuid() == 0 else None
    who: dict[str, Any] = {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
    data, secret = folder / "data", folder / "secret"
    data.mkdir(mode=0o700)
    secret.write_text(password := secrets.token_urlsafe(16), encoding="ascii")
    if account is not None:
        os.chown(data, *account)
        os.chown(secret, *account)
    init = [str(DEBIAN / "initdb"), "-D", str(data), "--username=owner", "--auth=scram-sha-256", f"--pwfile={secret}"]
    init += ["--encoding=UTF8", "--locale=C", "--no-sync"]
    done = subprocess.run(init, cwd="/", capture_output=True, text=True, check=False, **who)
    assert done.returncode == 0, done.stderr
    port = free_port()
    options = {**_FAST, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "timezone": "UTC"}
    command = [str(DEBIAN / "postgres"), "-D", str(data), "-p", str(port)]
    command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    process = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **who)
    try:
        deadline = time.monotonic() + _READY_WITHIN_S
        while not _is_ready(data):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield Postgres(f"postgresql://owner:{password}@127.0.0.1:{port}/postgres")
    finally:
        process.send_signal(signal.SIGINT)  # fast shutdown
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _is_ready(data: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return "ready" in (data / "postmaster.pid").read_text(encoding="ascii")
    return False


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Twice what is to run on both servers."""
    if getattr(metafunc.module, "BOTH_SERVERS", False) and "postgres_server" in metafunc.fixturenames:
        metafunc.parametrize("postgres_server", [_WHEEL, _DEBIAN], indirect=True)


@pytest.fixture
def postgres_server(request: pytest.FixtureRequest) -> Postgres:
    """The server of this test: the wheel's, or the one its module asks for."""
    which = getattr(request, "param", _WHEEL)
    found: Postgres = request.getfixturevalue("postgres15" if which == _DEBIAN else "postgres")
    return found


@pytest.fixture
def database(postgres_server: Postgres) -> Iterator[str]:
    """The owner's DSN of an empty database that is this test's alone."""
    name = postgres_server.create()
    yield postgres_server.dsn(name)
    postgres_server.drop(name)


@dataclass(frozen=True)
class Logins:
    """A migrated database and how each of its users logs in."""

    owner: str
    writer: str
    reader: str
    keeper: str


@pytest.fixture(scope="session")
def migrated_template() -> Iterator[Callable[[Postgres], str]]:
    """The name of a database that was brought forward once; each test gets a copy, which is quicker than migrating."""
    made: dict[Postgres, str] = {}

    def template(server: Postgres) -> str:
        if server not in made:
            name = server.create()
            passwords = {
                "writer_password": WRITER_PASSWORD,
                "reader_password": READER_PASSWORD,
                "keeper_password": KEEPER_PASSWORD,
            }
            with ThreadPoolExecutor(max_workers=1) as pool:  # a thread of its own: a loop may be running in this one
                pool.submit(lambda: asyncio.run(migrate(server.dsn(name), **passwords))).result()  # type: ignore[arg-type]
            made[server] = name
        return made[server]

    yield template
    if given := os.environ.get(ADDRESS_VARIABLE):  # the others are gone with their servers
        for server, name in made.items():
            if server.owner_dsn == given:
                server.drop(name)


@pytest.fixture
def migrated_database(postgres_server: Postgres, migrated_template: Callable[[Postgres], str]) -> Iterator[Logins]:
    """A database of this test's own with the audit's schema in it."""
    name = postgres_server.create(migrated_template(postgres_server))
    yield logins_of(postgres_server, name)
    own = postgres_server.sql(_OWN_EVENTS, database=name)
    postgres_server.drop(name)
    registered(decode(line.encode()) for line in own.splitlines())


def logins_of(server: Postgres, name: str) -> Logins:
    """How the users of a migrated database log in."""
    dsn = server.dsn(name)
    return Logins(
        owner=dsn,
        writer=_as_user(dsn, WRITER, WRITER_PASSWORD),
        reader=_as_user(dsn, READER, READER_PASSWORD),
        keeper=_as_user(dsn, KEEPER, KEEPER_PASSWORD),
    )


def _as_user(dsn: str, user: str, password: str) -> str:
    """The same database for another login."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{host}"))
