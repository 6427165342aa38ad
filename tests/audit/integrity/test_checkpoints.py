"""Tests of `audit.integrity.checkpoints`."""

from pathlib import Path

import pytest

from audit.errors import SealRefused
from audit.integrity.checkpoints import append_checkpoints, divergences, read_checkpoints
from tests.builders.chains import KEYS, make_chain

CHAIN = make_chain({}, {"rows": 1}, {"rows": 2})


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    """In order, for the owner alone; nothing to append makes no file."""
    file = tmp_path / "deep" / "checkpoints.jsonl"
    append_checkpoints(file, [])
    assert not file.exists()
    append_checkpoints(file, CHAIN[:1])
    append_checkpoints(file, CHAIN[1:])
    assert read_checkpoints(file, KEYS) == CHAIN
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_torn_line_is_no_record_and_is_cut_off(tmp_path: Path) -> None:
    """Killed at any byte, the file goes on as if the line had not been begun."""
    file = tmp_path / "checkpoints.jsonl"
    append_checkpoints(file, CHAIN)
    whole = file.read_bytes()
    ends = [at for at, byte in enumerate(whole) if byte == ord("\n")]
    for cut in (*range(1, 40), ends[0], ends[0] + 1, ends[1] - 1, ends[1] + 5):
        file.write_bytes(whole[:cut])
        found = read_checkpoints(file, KEYS)
        assert found == CHAIN[: len(found)]
        append_checkpoints(file, CHAIN[whole[:cut].count(b"\n") :])
        assert file.read_bytes() == whole


def test_a_last_line_without_its_end_counts(tmp_path: Path) -> None:
    """Somebody's copy."""
    file = tmp_path / "checkpoints.jsonl"
    append_checkpoints(file, CHAIN)
    file.write_text(file.read_text().rstrip("\n"))
    assert read_checkpoints(file, KEYS) == CHAIN


def test_a_line_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    """With its number; so is a file that cannot be read."""
    file = tmp_path / "checkpoints.jsonl"
    append_checkpoints(file, CHAIN)
    lines = file.read_text().split("\n")
    file.write_text("\n".join([lines[0], lines[1].replace("record", "recorb"), lines[2], ""]))
    with pytest.raises(SealRefused, match=r"checkpoints\.jsonl:2: is no checkpoint"):
        read_checkpoints(file, KEYS)
    file.write_bytes(b"\xff\n")
    with pytest.raises(SealRefused, match="not UTF-8"):
        read_checkpoints(file, KEYS)
    with pytest.raises(SealRefused, match="cannot be read"):
        read_checkpoints(tmp_path / "none", KEYS)


def test_a_chain_must_say_what_was_published() -> None:
    """Records that are gone or others, once each; one that was not published yet is no matter."""
    assert divergences(CHAIN[:2], CHAIN) == []
    assert divergences([CHAIN[0], CHAIN[0]], CHAIN) == []
    other = make_chain({}, {"rows": 9})
    found = divergences([*CHAIN, *CHAIN], other)
    assert [(each.seq, each.what) for each in found] == [
        (2, "seal 2 was published as another: replaced"),
        (3, "seal 3 was published: taken away"),
    ]
