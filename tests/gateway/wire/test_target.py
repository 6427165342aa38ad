"""One canonical form for a target, and a refusal for every form that is ambiguous."""

import contextlib
import itertools
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.wire.target import NormalPath, normal_path
from tests.builders.heads import ids

_FOLDER = Path(__file__).parents[2] / "cases" / "targets"
CANONICAL: list[dict[str, Any]] = yaml.safe_load((_FOLDER / "canonical.yaml").read_text(encoding="utf-8"))
REFUSED: list[dict[str, Any]] = yaml.safe_load((_FOLDER / "refused.yaml").read_text(encoding="utf-8"))
PATHS = [case for case in REFUSED if case["target"].startswith("/") and "?" not in case["target"]]


@pytest.mark.parametrize("case", CANONICAL, ids=ids(CANONICAL))
def test_a_target_has_one_canonical_form(case: dict[str, Any]) -> None:
    """The segments that are decided on are those of the path that is forwarded; the query goes as it came."""
    target = case["target"].encode()
    path, mark, query = target.partition(b"?")
    found = normal_path(target)
    assert found.raw == case.get("raw", path.decode()).encode()
    assert found.segments == tuple(case["segments"])
    assert found.query == (query if mark else None)
    assert found.target == found.raw + mark + query


@pytest.mark.parametrize("case", REFUSED, ids=ids(REFUSED))
def test_an_ambiguous_target_is_refused(case: dict[str, Any]) -> None:
    """It is refused, never repaired, and the record says which rule it broke."""
    with pytest.raises(BadRequest) as caught:
        normal_path(case["target"].encode("latin-1"))
    assert case["reason"] in caught.value.reason, case["why"]


@pytest.mark.parametrize("case", PATHS, ids=ids(PATHS))
def test_it_is_refused_wherever_it_stands(case: dict[str, Any]) -> None:
    """Nothing before it and nothing behind it makes an ambiguous path clear."""
    path = case["target"].encode("latin-1")
    for before, behind in itertools.product((b"", b"/x", b"/%41", b"/.x"), (b"", b"/x", b"?y")):
        with pytest.raises(BadRequest):
            normal_path(before + path + behind)


_PIECES = st.sampled_from(
    [
        *rb"/ . .. %2e %2E %25 %2f %5C % a - ~ %41 %c3%a9 %C3 %A9 %00 %7f".split(),
        *rb"%20 %25%32 25 2e ; ? = & @ [ \ %e2%80%8b".split(),
        b" ",
        b"\xe9",
    ]
)


@given(st.lists(_PIECES, max_size=12).map(b"".join).map(lambda rest: b"/" + rest))
@example(b"/%25%34%31")
@example(b"/%2541")
def test_the_canonical_form_is_canonical(target: bytes) -> None:
    """Whatever is taken: again it gives itself, its segments are those of what is forwarded, and it hides nothing."""
    with contextlib.suppress(BadRequest):
        _check(normal_path(target), target)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_path_or_refused(raw: bytes) -> None:
    """No input raises anything else."""
    with contextlib.suppress(BadRequest):
        _check(normal_path(raw), raw)


def _check(found: NormalPath, target: bytes) -> None:
    assert normal_path(found.target) == found
    if found.raw == b"/":
        assert found.segments == ()
    else:
        parts = found.raw.split(b"/")[1:]
        assert found.segments == tuple(unquote(part.decode("ascii"), errors="strict") for part in parts)
    # A careless service decodes once, or twice, and then looks for structure: it finds none that was not there.
    once = unquote(found.raw.decode("ascii"))
    twice = unquote(once)
    for text in (once, twice):
        assert not {".", ".."} & set(text.split("/"))
        assert "\\" not in text
        assert "\x00" not in text
        assert text.count("/") == found.raw.count(b"/")
        assert "//" not in text
    assert found.query == (target.partition(b"?")[2] if b"?" in target else None)
