"""`docs/guides/decision-api.md`: its questions are asked, and its configuration is read."""

import json
import re
from pathlib import Path

import yaml

from gateway.decision_settings import DecisionApiSettings
from tests.builders import plane
from tests.builders.decisions import decisions

PAGE = (plane.ROOT / "docs" / "guides" / "decision-api.md").read_text(encoding="utf-8")


async def test_its_questions_have_its_answers(tmp_path: Path) -> None:
    """An allow, a deny, and a question that lacks something."""
    questions = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    async with decisions(tmp_path) as api:
        allowed, denied, lacking = [await api.decide(asked) for asked in questions]
    assert allowed == {"decision": True}
    assert denied == {"decision": False}
    assert lacking["decision"] is False
    assert "attribute `tenant`" in lacking["context"]["error"]["message"]
    assert '`{"decision": true}`' in PAGE


def test_its_configuration_is_one() -> None:
    """Every key of the example exists."""
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    found = DecisionApiSettings(**yaml.safe_load(block)["decision_api"])
    assert found.public_url == "https://pdp.example"
    assert found.durable
