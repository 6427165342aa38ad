"""A document is read strictly, or refused with its place."""

import itertools
import time

import pytest

from lychgate.routes_import.document import MAX_BYTES, Document, read_document, shown
from lychgate.routes_import.errors import DocumentRefused

HEAD = b'{"openapi": "3.1.0", "paths": '


def test_json_and_yaml_say_the_same() -> None:
    """The name decides, then the first letter; numbers as keys are names."""
    text = b"openapi: 3.0.3\npaths:\n  /a:\n    get: {responses: {200: {description: ok}}}\n"
    same = b'{"openapi":"3.0.3","paths":{"/a":{"get":{"responses":{"200":{"description":"ok"}}}}}}'
    read = [read_document(*it).values for it in (("a.yaml", text), ("a.json", same), ("input", same), ("input", text))]
    assert all(it == read[0] for it in read)
    assert read_document("a.json", b"\xef\xbb\xbf" + same).values == read[0]


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        ("a.json", b"[]", "a.json: not an object"),
        ("a.json", b"{", "a.json: not strict JSON"),
        ("a.json", b'{"openapi":"3.1.0","openapi":"3.1.0"}', "a.json: a member twice"),
        ("a.json", b'{"swagger":"2.0"}', "a.json: Swagger, to be converted first; 3.0 and 3.1 are understood"),
        ("a.json", b'{"paths":{}}', "a.json: no `openapi` version; 3.0 and 3.1 are understood"),
        ("a.json", b'{"openapi":"3.2.0"}', "a.json: version `3.2.0`; 3.0 and 3.1 are understood"),
        ("a.json", b'{"openapi":3.1}', "a.json: version `3.1`; 3.0 and 3.1 are understood"),
        ("a.json", HEAD + b"[" * 200 + b"]" * 200 + b"}", "a.json: too deep"),
        ("a.json", HEAD + b'"\\ud800"}', "a.json: not strict JSON"),
        ("a.json", b" " * (MAX_BYTES + 1), f"a.json: larger than {MAX_BYTES} bytes"),
        ("a.yaml", b" " * 3_000_000, "a.yaml: larger than 2097152 bytes of YAML"),
        ("a.yaml", b"openapi: 3.1.0\na: &x [1]\nb: *x\n", "a.yaml:3: an alias; write it out, or use `$ref`"),
        ("a.yaml", b"openapi: 3.1.0\na: 1\na: 2\n", "a.yaml:3: `a` stands twice"),
        ("a.yaml", b"openapi: 3.1.0\nx: {<<: {a: 1}}\n", "a.yaml:2: a key must be a plain word"),
        ("a.yaml", b"openapi: 3.1.0\nx: {200: 1, '200': 2}\n", "a.yaml:2: `200` stands twice"),
        ("a.yaml", b"openapi: 3.1.0\nx: {0x10: 1, 16: 2}\n", "a.yaml:2: `16` stands twice"),
        ("a.yaml", b"x: " + b"[" * 200 + b"]" * 200, "a.yaml:1: deeper than 100"),
        ("a.yaml", b"openapi: 3.1.0\nx: !!python/object/apply:os.system [id]\n", "a.yaml:2: not YAML"),
        ("a.yaml", b"openapi: 3.1.0\nx: 2026-13-45\n", "a.yaml: not YAML"),
        ("a.yaml", b"a: b: c\n", "a.yaml:1: not YAML"),
        ("a.yaml", b"a: \xff\n", "a.yaml: not UTF-8"),
        ("a.yaml", b"", "a.yaml: not an object"),
        ("a.yaml", b"a: 1\n--- \nb: 1\n", "a.yaml:2: not YAML"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(name: str, raw: bytes, reason: str) -> None:
    """Names twice, aliases, depth, size, other versions: with the reason, and the line where there is one."""
    with pytest.raises(DocumentRefused) as refused:
        read_document(name, raw)
    assert str(refused.value) == reason


def resolve(ref: str, **parts: object) -> object:
    """What a reference leads to."""
    return Document("a.json", dict(parts)).resolve({"$ref": ref})


def test_a_reference_is_followed_within_the_document() -> None:
    """Through escapes, lists and other references."""
    assert resolve("#/a~1b/0", **{"a/b": [{"$ref": "#/c~0"}], "c~": {"x": 1}}) == {"x": 1}
    assert resolve("#", x=1) == {"x": 1}


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        ("other.json#/a", "leads out of the document"),
        ("https://evil.example/a", "leads out of the document"),
        ("file:///etc/passwd", "leads out of the document"),
        ("#a", "leads out of the document"),
        ("#/nowhere", "leads nowhere"),
        ("#/list/7", "leads nowhere"),
        ("#/list/²", "leads nowhere"),
        ("#/one", "leads in a circle"),
    ],
)
def test_a_reference_that_leads_elsewhere_is_refused(ref: str, reason: str) -> None:
    """Out of the document, nowhere, or in a circle."""
    with pytest.raises(DocumentRefused, match=reason):
        resolve(ref, one={"$ref": "#/two"}, two={"$ref": "#/one"}, list=[])


def test_references_come_to_an_end() -> None:
    """However entangled the schemas are, looking at them ends."""
    document = Document("a.json", {})
    started = time.process_time()
    with pytest.raises(DocumentRefused, match="too entangled"):
        any(document.resolve({}) for _ in itertools.count())
    assert time.process_time() - started < 30


def test_text_of_a_document_is_shown_in_one_harmless_line() -> None:
    """No line break, no order to a terminal, no end of the quotation, no novel."""
    assert shown("a\nb\x1b[31m`c\u202e") == r"`a\nb\x1b[31m'c\u202e`"
    assert len(shown("x" * 1000)) == 82
