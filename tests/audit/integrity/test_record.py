"""Tests of `audit.integrity.record`."""

import msgspec
import pytest

from audit.errors import SealRefused
from audit.integrity.record import block_holds, read_line, read_sealed, sealed, sign_block
from tests.builders.chains import KEY, KEYS, OTHER_KEY, make_record


def test_what_was_signed_is_read() -> None:
    """As text with its signature, and as a line of a file."""
    made = sealed(make_record(rows=3), KEY)
    assert read_sealed(made.text, made.signature, KEYS) == made
    assert read_line(made.line(), KEYS) == made
    assert "\n" not in made.line()


def test_every_field_is_under_the_signature() -> None:
    """None can be changed."""
    made = sealed(make_record(complete_through="2026", retention_days=3, purged_at="2026"), KEY)
    plain = msgspec.json.decode(made.text)
    for name, value in plain.items():
        other = value + 1 if isinstance(value, int) else value + "0"
        forged = msgspec.json.encode({**plain, name: other}, order="sorted").decode()
        with pytest.raises(SealRefused):
            read_sealed(forged, made.signature, KEYS)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"seq":1}', "\ud800", "null"])
def test_what_is_no_record_is_refused(text: str) -> None:
    """Nothing in it is looked at."""
    with pytest.raises(SealRefused, match="is no seal record"):
        read_sealed(text, b"", KEYS)


def test_only_known_keys_are_believed() -> None:
    """Another key's record, one that names our key and bears another's signature, and a form we do not know."""
    theirs = sealed(make_record(key_id=OTHER_KEY.key_id), OTHER_KEY)
    with pytest.raises(SealRefused, match=f"key `{OTHER_KEY.key_id}`, which is not one of yours"):
        read_sealed(theirs.text, theirs.signature, KEYS)
    posing = sealed(make_record(), OTHER_KEY)
    with pytest.raises(SealRefused, match="does not bear its key's signature"):
        read_sealed(posing.text, posing.signature, KEYS)
    later = sealed(make_record(v=2), KEY)
    with pytest.raises(SealRefused, match="a form this program does not know"):
        read_sealed(later.text, later.signature, KEYS)


@pytest.mark.parametrize("line", ["", "{", '{"record":"x","signature":"zz"}', '{"record":1}', "x" * 5000])
def test_a_line_that_is_no_checkpoint_is_refused(line: str) -> None:
    """Each kind of nonsense alike."""
    with pytest.raises(SealRefused):
        read_line(line, KEYS)


def test_a_block_stands_in_its_place_only() -> None:
    """Record, number, leaves and key all count; and a block's signature is none of a record."""
    signature = sign_block(KEY, 3, 1, b"leaves")
    assert block_holds(KEYS, KEY.key_id, 3, 1, b"leaves", signature)
    assert not block_holds(KEYS, KEY.key_id, 4, 1, b"leaves", signature)
    assert not block_holds(KEYS, KEY.key_id, 3, 2, b"leaves", signature)
    assert not block_holds(KEYS, KEY.key_id, 3, 1, b"leaves!", signature)
    assert not block_holds(KEYS, OTHER_KEY.key_id, 3, 1, b"leaves", signature)
    assert not block_holds(KEYS, KEY.key_id, 3, 1, b"leaves", b"")
    made = sealed(make_record(), KEY)
    with pytest.raises(SealRefused):
        read_sealed(made.text, KEY.sign(made.text.encode()), KEYS)
