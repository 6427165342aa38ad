"""What `make dist` builds: the same bytes each time, whole, and enough to run Lychgate in an empty folder."""

import csv
import email
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders.patience import PATIENCE_S
from tests.gateway.supervisor.crews import alive

ROOT = Path(__file__).parents[2]
EPOCH = "1790000000"


def environment(**more: str) -> dict[str, str]:
    """Ours, without what would configure Lychgate or lead Python back into this tree."""
    dropped = ("LYCHGATE_", "PYTHON", "AUDIT_", "KAFKA_", "COV_")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)} | more


def build(tree: Path, target: Path, *kinds: str) -> None:
    """As `make dist`, without a network."""
    words = [word for kind in kinds for word in ("-t", kind)]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(target), *words],
        cwd=tree,
        env=environment(SOURCE_DATE_EPOCH=EPOCH),
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def dist() -> Iterator[Path]:
    """A folder with wheel and sdist, which a system user may enter, too."""
    folder = Path(tempfile.mkdtemp(prefix="lychgate-dist-"))
    folder.chmod(0o711)
    build(ROOT, folder / "dist", "sdist", "wheel")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """The wheel."""
    [found] = (dist / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(dist: Path, wheel: Path) -> Path:
    """The `lychgate` of a new environment that has the wheel, and beside it only what the lock names."""
    venv = dist / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, env=environment())
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--disable-pip-version-check", str(wheel)], check=True, env=environment())
    locked = sysconfig.get_paths()["purelib"]
    [site] = (venv / "lib").glob("python*/site-packages")
    (site / "locked.pth").write_text(locked + "\n")  # a .pth inside that folder, such as this tree's, is not read
    where = subprocess.run(
        [str(python), "-c", "import lychgate, audit; print(lychgate.__file__, audit.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        env=environment(),
        cwd=dist,
    ).stdout
    assert where.count(str(venv)) == 2
    return venv / "bin" / "lychgate"


def test_the_sdist_builds_the_same_wheel(dist: Path, wheel: Path) -> None:
    """Byte for byte, and so does the tree a second time."""
    [sdist] = (dist / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(dist, filter="data")
        names = [member.name for member in archive.getmembers()]
    assert not [name for name in names if "__pycache__" in name or "/.venv" in name or "/.git/" in name]
    build(dist / sdist.name.removesuffix(".tar.gz"), dist / "again", "wheel")
    [again] = (dist / "again").iterdir()
    assert (again.name, again.read_bytes()) == (wheel.name, wheel.read_bytes())


def test_the_wheel_is_whole_and_nothing_more(wheel: Path) -> None:
    """Each module and data file of our packages, the files to start from, types, licence, entry point; no test."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        record = {row[0] for row in csv.reader(io.StringIO(archive.read(_info(names, "RECORD")).decode()))}
        metadata = email.message_from_bytes(archive.read(_info(names, "METADATA")))
        entry_points = archive.read(_info(names, "entry_points.txt")).decode()
    packages = ("audit", "gateway", "lychgate", "policies", "query", "roles", "services")
    tracked = subprocess.run(
        ["git", "ls-files", *packages], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert sorted({name for name in tracked if (ROOT / name).exists()} - names) == []
    extra = {name for name in names if not name.startswith(tuple(f"{package}/" for package in packages))}
    assert {Path(name).parts[0].partition("-")[0] for name in extra} == {"lychgate"}
    assert {f"{package}/py.typed" for package in packages} <= names
    assert not [name for name in names if "/tests/" in name or name.startswith("tests/") or name.endswith(".pyc")]
    assert record == names
    assert (metadata["Name"], metadata["License-Expression"]) == ("lychgate", "Apache-2.0")
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert len(metadata["Summary"]) < 512
    assert "# Lychgate" in metadata.get_payload()
    assert any(requirement.startswith("opentelemetry-sdk") for requirement in metadata.get_all("Requires-Dist", []))
    assert "lychgate = lychgate.cli:main" in entry_points
    assert any(name.endswith("licenses/LICENSE") for name in names)


def _info(names: set[str], name: str) -> str:
    [found] = [path for path in names if path.endswith(f".dist-info/{name}")]
    return found


def test_it_runs_in_an_empty_folder(dist: Path, installed: Path) -> None:
    """`config check`, then `up`: an allow, a refusal, the audit that shows both, Ctrl-C; nothing is left running."""
    folder = dist / "empty"
    folder.mkdir(mode=0o711)
    run = {"cwd": folder, "env": environment(), "text": True}
    checked = subprocess.run([str(installed), "config", "check"], capture_output=True, check=False, **run)  # type: ignore[call-overload]
    assert (checked.returncode, checked.stdout) == (0, "the configuration is in order\n"), checked.stderr
    assert list(folder.iterdir()) == []
    with (dist / "up.log").open("wb") as log:
        up = subprocess.Popen(
            [str(installed), "up", "--json", "--free-ports"],
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            **run,  # type: ignore[call-overload]
        )
    try:
        line = up.stdout.readline()
        assert line, (dist / "up.log").read_text()
        facts = json.loads(line)
        records = _requests(facts)
        assert {(record["action"], record["decision"]["effect"]) for record in records} >= {
            ("order:list", "allow"),
            ("payment:refund", "deny"),
        }
        children = [int(pid) for pid in Path(f"/proc/{up.pid}/task/{up.pid}/children").read_text().split()]
        assert len(children) > 3
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 0
        assert not [pid for pid in children if alive(pid)]
        assert [path.name for path in folder.iterdir()] == [".lychgate"]
    finally:
        if up.poll() is None:
            up.kill()
            up.wait()
        up.stdout.close()


def _requests(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """A list of orders, a refund that its caller may not make, and what the audit says of them once it does."""
    tokens = facts["tokens"]

    def fields(role: str) -> dict[str, str]:
        return {"authorization": f"Bearer {tokens[role]}"}

    with httpx.Client(base_url=facts["urls"]["gateway"], timeout=PATIENCE_S, trust_env=False) as client:
        orders = client.get("/orders", headers=fields("Cashier"))
        assert orders.json()["data"], orders.text
        refused = client.post("/payments/intents/pi-1001/refunds", json={"amount": 100}, headers=fields("Cashier"))
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            found: list[dict[str, Any]] = client.get("/audit/events", headers=fields("Auditor")).json()["data"]
            decided = [record for record in found if record.get("decision")]
            if len({record["action"] for record in decided}) >= 2 or time.monotonic() > deadline:
                return decided
            time.sleep(0.2)
