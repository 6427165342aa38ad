"""The query process follows its files: in force for the next read, refused whole, said once."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from audit.private_file import read_private
from policies.load import read_folder
from policies.origin import Origin, make_key, private_key
from policies.pack import pack
from query.app import Rules
from query.follow import follow
from query.metrics import QueryMetrics
from tests.builders.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
CLOSED = '@id("closed")\n@reason("closed")\nforbid (principal, action, resource);\n'


class Decided:
    """Stands for the log: what it was told to decide by."""

    def __init__(self) -> None:
        self.versions: list[str] = []

    def decide_by(self, access: Any, policy_version: str) -> None:
        """Remember."""
        assert access is not None
        self.versions.append(policy_version)


@asynccontextmanager
async def following(rules: Rules) -> AsyncIterator[tuple[Decided, CollectorRegistry]]:
    """A process that follows its files."""
    decided, registry = Decided(), CollectorRegistry()
    work = follow(
        decided,  # type: ignore[arg-type]
        rules.read(),
        rules.read,
        rules.paths,
        QueryMetrics(registry),
        settle_s=0.05,
        poll_s=0.1,
    )
    task = asyncio.ensure_future(work)
    try:
        yield decided, registry
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def counted(registry: CollectorRegistry, result: str, times: int) -> None:
    """Wait until so many were read anew with this result."""
    async with asyncio.timeout(PATIENCE_S):
        while registry.get_sample_value("audit_query_reloads_total", {"result": result}) != times:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def rules(folder: Path) -> Rules:
    """Over copies of the shipped files."""
    shutil.copytree(ROOT / "policies", folder / "policies", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copy(ROOT / "roles" / "roles.toml", folder)
    return Rules(policies=Origin(folder / "policies"), roles_file=folder / "roles.toml", context_issuer="lychgate")


def _replace(file: Path, text: str) -> None:
    """Whole, under another name first."""
    draft = file.with_name(f"{file.name}.draft")
    draft.write_text(text)
    draft.replace(file)


async def test_an_edit_is_in_force_and_a_bad_one_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Policies and roles alike; what was there at the start is not installed again."""
    given = rules(tmp_path)
    before = given.read().policy_version
    async with following(given) as (decided, registry):
        await asyncio.sleep(0.2)
        assert decided.versions == []
        _replace(tmp_path / "policies" / "closed.cedar", CLOSED)
        await counted(registry, "installed", 1)
        _replace(tmp_path / "policies" / "closed.cedar", "forbid")
        await counted(registry, "refused", 1)
        await asyncio.sleep(0.3)  # several looks
        assert registry.get_sample_value("audit_query_reloads_total", {"result": "refused"}) == 1
        (tmp_path / "policies" / "closed.cedar").unlink()
        await counted(registry, "installed", 2)
        _replace(tmp_path / "roles.toml", "no catalogue")
        await counted(registry, "refused", 2)
        assert decided.versions == [rules_with(CLOSED, tmp_path), before]
    assert "closed.cedar:1: unexpected end of input" in capsys.readouterr().out


def rules_with(text: str, folder: Path) -> str:
    """The version of the policies with one more file."""
    (folder / "policies" / "closed.cedar").write_text(text)
    shutil.copy(ROOT / "roles" / "roles.toml", folder)
    return Rules(Origin(folder / "policies"), folder / "roles.toml", "lychgate").read().policy_version


async def test_a_bundle_never_goes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An older one is refused, a newer one taken, with the roles that it brings."""
    key = tmp_path / "key.pem"
    public = make_key(key)
    policies, schema = read_folder(ROOT / "policies")
    file = tmp_path / "policies.lcb"
    roles = ("roles.toml", (ROOT / "roles" / "roles.toml").read_text())

    def write(serial: int, *more: tuple[str, str]) -> None:
        (tmp_path / "draft").write_bytes(
            pack([*policies, schema, roles, *more], serial, private_key(key, read_private))
        )
        (tmp_path / "draft").replace(file)

    write(5)
    given = Rules(Origin(tmp_path, file, (public,)), tmp_path / "none.toml", "lychgate")
    async with following(given) as (decided, registry):
        write(4, ("closed.cedar", CLOSED))
        await counted(registry, "refused", 1)
        assert decided.versions == []
        write(6, ("closed.cedar", CLOSED))
        await counted(registry, "installed", 1)
    assert "the bundle's serial is 4; 5 is in force" in capsys.readouterr().out
