"""Cedar's own integration cases, through `lychgate policy decide`: what other people wrote about what policies mean."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lychgate import cli
from tests.builders.vectors import vectors

FILES = ("handwritten.jsonl", "corpus_dev.jsonl.gz")


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of a file; skipped with a reason where the folder is absent, but never in CI."""
    path = vectors("cedar", name)
    content = path.read_bytes()
    lines = (gzip.decompress(content) if path.suffix == ".gz" else content).decode().split("\n")
    return [json.loads(line) for line in lines if line]


def decided(case: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """What `lychgate policy decide` says to the requests of a case.

    `--loose`: the policies have no ids, and some are there because they do not validate.
    """
    requests = [
        {key: request[key] for key in ("principal", "action", "resource", "context")} for request in case["requests"]
    ]
    (folder / "case.cedar").write_text(case["policies"], encoding="utf-8")
    (folder / "case.cedarschema").write_text(case["schema"], encoding="utf-8")
    (folder / "entities.json").write_text(json.dumps(case["entities"]), encoding="utf-8")
    (folder / "requests.jsonl").write_text("\n".join(map(json.dumps, requests)), encoding="utf-8")
    words = ["policy", "decide", str(folder / "requests.jsonl"), "--loose", "--policies", str(folder / "case.cedar")]
    words += ["--schema", str(folder / "case.cedarschema"), "--entities", str(folder / "entities.json")]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, (case["id"], result.output, result.exception)
    return [json.loads(line) for line in result.output.splitlines()]


@pytest.mark.parametrize("name", FILES)
def test_cedar_vectors(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every request is decided as Cedar does, except that an erroring forbid denies."""
    counts: Counter[str] = Counter()
    for case in cases(name):
        for request, answer in zip(case["requests"], decided(case, tmp_path), strict=True):
            where = f"{case['id']}: {request['description']}"
            assert {error["policy"] for error in answer["errors"]} == set(request["errors"]), where
            failed_forbids = {error["policy"] for error in answer["errors"] if error["effect"] == "deny"}
            reasons = set(request["reason"])
            if request["decision"] == "allow" and failed_forbids:
                counts["allow that is a deny here, because a forbid failed"] += 1
                assert (answer["decision"], set(answer["policies"])) == ("deny", failed_forbids), where
            elif request["decision"] == "deny":
                counts["deny"] += 1
                assert (answer["decision"], set(answer["policies"])) == ("deny", reasons | failed_forbids), where
            else:
                counts["allow"] += 1
                assert (answer["decision"], set(answer["policies"])) == ("allow", reasons), where
    with capsys.disabled():
        print(f"\n{name}: {counts.total()} requests ran: {dict(counts)}")  # noqa: T201 - the vectors' README asks for it
    assert counts.total() > 0
