"""Tests of `audit.sinks.template`."""

from typing import Any

import pytest

from audit.sinks.template import index_template


@pytest.mark.parametrize(
    ("version", "details"),
    [
        ({"distribution": "opensearch", "number": "2.11.0"}, "flat_object"),
        ({"distribution": "opensearch", "number": "1.3.2"}, "object"),
        ({"number": "8.15.0"}, "flattened"),
        ({"number": "7.2.1"}, "object"),
        ({"number": "serverless"}, "object"),
        ({"number": None}, "object"),
        ({}, "object"),
    ],
)
def test_no_document_can_grow_the_mapping(version: dict[str, Any], details: str) -> None:
    """Every engine is given a type it knows; fields that nobody foresaw are kept and not indexed."""
    template = index_template("shop", version)
    mappings = template["template"]["mappings"]
    assert template["index_patterns"] == ["shop-*"]
    assert (mappings["dynamic"], mappings["properties"]["details"]["type"]) == (False, details)
    assert mappings["properties"]["producer"]["properties"]["seq"]["type"] == "long"
    # Masked values stand where addresses stood.
    assert mappings["properties"]["client"]["properties"]["ip"]["type"] == "keyword"
    assert not mappings["properties"]["input"]["enabled"]
