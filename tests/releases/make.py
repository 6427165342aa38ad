"""Keep what a release leaves behind, for the tests of the next one: `python -m tests.releases.make COMMIT VERSION`.

    tests/releases/VERSION/
        release.tar.xz   its code for store, spool, broker and reading, its configuration, routes, roles and policies
        store.sql.xz     a dump of its store
        spool.tar.xz     spool folders
        messages.json    messages of its topics
        facts.json       what is in them
        checkpoints.jsonl, seal.pub

Run once when a release is made, from a checkout that has its commit. What it writes is never changed afterwards.
"""

import io
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lychgate.postgres import PostgresServer
from lychgate.postgres.place import wheel

ROOT = Path(__file__).parents[2]
CODE = ("audit", "query", "roles", "policies", "lychgate.yaml", "routes.toml", "docs/reference/settings.md")
"""What is kept of a release's tree."""


def main(commit: str, version: str) -> None:
    """Make the folder of a release."""
    target = ROOT / "tests" / "releases" / version
    work = Path(tempfile.mkdtemp(prefix="lychgate-release-"))
    work.chmod(0o711)
    server = PostgresServer(work / "postgres", sync=False)
    try:
        tree, left = work / "tree", work / "left"
        tree.mkdir()
        left.mkdir()
        archived = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archived)) as archive:
            archive.extractall(tree, filter="data")
        server.start()
        environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        scene = ROOT / "tests" / "releases" / "scene.py"
        subprocess.run([sys.executable, str(scene), server.dsn(), str(left)], cwd=tree, env=environment, check=True)
        target.mkdir(parents=True)
        _keep(target / "release.tar.xz", tree, CODE)
        _keep(target / "spool.tar.xz", left / "spool", tuple(sorted(path.name for path in (left / "spool").iterdir())))
        (target / "store.sql.xz").write_bytes(lzma.compress(_dump(server.dsn()), preset=9 | lzma.PRESET_EXTREME))
        for name in ("messages.json", "facts.json", "checkpoints.jsonl", "seal.pub"):
            shutil.copyfile(left / name, target / name)
    finally:
        server.stop()
        shutil.rmtree(work, ignore_errors=True)


def _keep(file: Path, folder: Path, names: tuple[str, ...]) -> None:
    """An archive that says nothing of who made it."""

    def bare(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if "__pycache__" in member.name:
            return None
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(file, "w:xz", preset=9) as archive:
        for name in names:
            archive.add(folder / name, name, filter=bare)


def _dump(dsn: str) -> bytes:
    to = urlsplit(dsn)
    login = {"PGHOST": to.hostname, "PGPORT": str(to.port), "PGUSER": to.username, "PGPASSWORD": to.password}
    environment = {**os.environ, **{name: unquote(value) for name, value in login.items() if value}}
    command = [str(wheel() / "bin" / "pg_dump"), "--dbname", to.path[1:]]
    return subprocess.run(command, env=environment, check=True, capture_output=True).stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
