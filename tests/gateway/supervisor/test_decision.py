"""The decision API's own files: read with the other sources, in force with them, and refused with a place."""

import base64
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.decision_settings import DecisionApiSettings
from gateway.snapshot import build_snapshot
from gateway.supervisor.decision import DecisionSources, read_sheets
from gateway.supervisor.errors import StartRefused
from tests.builders import plane
from tests.builders.decisions import FIXTURE, question
from tests.gateway.ops.port import Standing
from tests.gateway.supervisor.process import PLATFORM, Gateway, sections, started, token
from tests.servers.postgres import Logins
from tests.servers.upstream import upstream

LIVE = ("schema.cedarschema", (plane.ROOT / "policies" / "schema.cedarschema").read_text())


def place(tmp_path: Path) -> dict[str, Any]:
    """The fixture where it can be changed."""
    shutil.copytree(FIXTURE, tmp_path / "decisions")
    return {"folder": tmp_path / "decisions", "entities": tmp_path / "decisions" / "entities.json"}


def test_what_is_refused(tmp_path: Path) -> None:
    """With the section, the file and the reason."""

    def said(**settings: Any) -> str:
        with pytest.raises(StartRefused) as caught:
            read_sheets(DecisionApiSettings(**settings), LIVE, strict=False)
        return str(caught.value)

    where = place(tmp_path)
    assert said(folder=tmp_path / "none").splitlines() == [
        f"decision_api: {tmp_path}/none: no `.cedar` file here",
        "decision_api: schema.cedarschema: cannot be read: No such file or directory",
    ]
    assert (
        said(entities=tmp_path / "none") == f"decision_api: {tmp_path}/none: cannot be read: No such file or directory"
    )
    (tmp_path / "odd").write_bytes(b"\xff")
    assert said(entities=tmp_path / "odd") == f"decision_api: {tmp_path}/odd: not UTF-8"
    assert said(types={"person": "usr"}) == ("decision_api: types.person: the schema declares no entity type `usr`")
    where["entities"].write_text('[{"uid": {"type": "usr", "id": "a"}, "attrs": {}, "parents": []}]')
    assert said(**where) == "decision_api: entities.json: entity 1: the schema declares no entity type `usr`"
    (where["folder"] / "record.cedar").write_text("permit (principal, action, resource);")
    assert said(folder=where["folder"]) == "decision_api: record.cedar:1: a policy without an `@id`"


def test_the_key_of_page_tokens(tmp_path: Path) -> None:
    """From a file, whole or not at all; nothing of it is told."""
    file = tmp_path / "page.key"
    settings = DecisionApiSettings(page_key_file=file)
    key = bytes(range(224, 256))
    file.touch(0o600)
    file.write_text(base64.urlsafe_b64encode(key).decode() + "\n")
    assert DecisionSources(settings, strict=False).page_key == key
    assert DecisionSources(DecisionApiSettings(), strict=False).page_key is None
    for wrong in ("c2VjcmV0", "c2VjcmV", "sécret", ""):
        file.write_text(wrong)
        with pytest.raises(StartRefused) as caught:
            DecisionSources(settings, strict=False)
        assert str(caught.value) == f"decision_api: {file}: not 32 bytes in base64url"
    file.unlink()
    with pytest.raises(StartRefused, match=r"page\.key: cannot be read: No such file or directory"):
        DecisionSources(settings, strict=False)


def test_sheets_belong_to_their_snapshot(tmp_path: Path) -> None:
    """What was read last is in force when its snapshot is, not before; what was refused never."""
    where = place(tmp_path)
    decision = DecisionSources(DecisionApiSettings(**where), strict=False)
    with pytest.raises(RuntimeError, match="nothing is in force yet"):
        _ = decision.snapshot
    read = decision.beside(lambda: plane.sources(9002))
    old = build_snapshot(read())
    standing = Standing(old)
    decision.attach(standing)
    assert decision.snapshot is old
    first = decision.sheets(old)
    for number in range(5):  # read, and refused for something else each time
        where["entities"].write_text(json.dumps(json.loads(where["entities"].read_text())[number:]))
        changed = read()
        assert decision.sheets(old) is first
    new = build_snapshot(changed)
    assert len(decision.sheets(new).book.entities) < len(first.book.entities)
    where["entities"].write_text("[")
    with pytest.raises(StartRefused):
        read()
    assert decision.sheets(old) is first
    assert len(decision._known) == 2, "no more is kept than can be in force"


def test_the_version_is_part_of_the_sources(tmp_path: Path) -> None:
    """So whoever compares sources sees that these files have changed."""
    where = place(tmp_path)
    decision = DecisionSources(DecisionApiSettings(**where), strict=False)
    sources = plane.sources(9002)
    read = decision.beside(lambda: sources)
    before = read()
    assert before.version == read().version
    (where["folder"] / "more.cedar").write_text('@id("a") @reason("r") forbid (principal, action, resource);')
    assert read().version != before.version


async def test_the_real_gateway_answers_and_reloads(tmp_path: Path, migrated_database: Logins) -> None:
    """As a process: asked, changed and told to read anew, asked again; a bad file changes nothing."""
    where = {name: str(path) for name, path in place(tmp_path).items()}
    entities = Path(where["entities"])
    async with upstream() as service:
        configuration = sections(
            tmp_path, migrated_database.writer, service.port, gateway={"workers": 1}, decision_api=where
        )
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            metadata = (await gateway.ops.get("/.well-known/authzen-configuration")).json()
            assert metadata["policy_decision_point"] == gateway.ops_url
            asked = question(("user", "alice"), "read", ("record", "record-1"))
            assert await _decision(gateway, asked) is True
            version = (await gateway.status())["decision_api_version"]

            _forget(entities, "alice")
            gateway.process.send_signal(signal.SIGHUP)

            async def forgotten() -> bool:
                return await _decision(gateway, asked) is False

            await gateway.until("alice is nobody", forgotten)
            assert (await gateway.status())["decision_api_version"] != version

            _write(entities, '[{"uid": 1}]')
            gateway.process.send_signal(signal.SIGHUP)

            async def refused() -> bool:
                return "decision_api: entities.json: entity 1: " in gateway.log

            await gateway.until("the file is refused", refused)
            bob = question(("user", "bob"), "read", ("record", "record-1"))
            assert await _decision(gateway, bob) is True
            assert (await gateway.public.get("/orders", headers=token("Cashier"))).status_code == 200
            assert await gateway.stop() == 0


def _write(file: Path, text: str) -> None:
    file.write_text(text)


def _forget(file: Path, name: str) -> None:
    """Take somebody out of a file of entities."""
    listed = json.loads(file.read_text())
    _write(file, json.dumps([one for one in listed if one["uid"]["id"] != name]))


async def _decision(gateway: Gateway, body: dict[str, Any]) -> bool:
    answer: httpx.Response = await gateway.ops.post(
        "/access/v1/evaluation", json=body, headers=token("Service", PLATFORM)
    )
    assert answer.status_code == 200, answer.text
    found: bool = answer.json()["decision"]
    return found
