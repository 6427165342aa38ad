"""Bundles: the same bytes each time, and whatever is not exactly as it must be is refused with its reason."""

import hashlib
import json
import struct
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from policies import pack as packing
from policies.errors import BundleRefused
from policies.pack import key_id, pack, unpack

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = KEY.public_key()
FILES = [("order.cedar", "permit;"), ("schema.cedarschema", "schema é"), ("roles.toml", "r"), ("access.cedar", "")]
HEAD = 8 + 8 + 4 + 64


def manifest(**changes: Any) -> dict[str, Any]:
    """A sound manifest of one policy and a schema, both empty, but for the changes."""
    nothing = hashlib.sha256(b"").hexdigest()
    files = [{"name": name, "sha256": nothing, "size": 0} for name in ("a.cedar", "schema.cedarschema")]
    return {"files": files, "format": 1, "serial": 1, **changes}


def entry(name: str, content: bytes = b"", **changes: Any) -> dict[str, Any]:
    """A manifest's entry."""
    return {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content), **changes}


def forged(written: bytes | dict[str, Any], contents: bytes = b"", length: int | None = None) -> bytes:
    """A bundle with any manifest, signed as it must be: what a careless signer could make."""
    if isinstance(written, dict):
        written = json.dumps(written, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    signed = b"LYCHBDL1" + bytes.fromhex(key_id(PUBLIC)) + struct.pack(">I", len(written) if length is None else length)
    return signed + KEY.sign(signed + written) + written + contents


def refusal(data: bytes) -> str:
    """Why it is refused."""
    with pytest.raises(BundleRefused) as refused:
        unpack(data, [PUBLIC])
    return refused.value.reason


def test_what_is_packed_comes_out() -> None:
    """Sorted by name, policies and schema apart from roles and routes; any trusted key will do."""
    packed = unpack(pack(FILES, 5, KEY), [STRANGER.public_key(), PUBLIC])
    assert (packed.serial, packed.key) == (5, key_id(PUBLIC))
    assert dict(packed.files) == dict(FILES)
    assert list(packed.files) == sorted(packed.files)
    assert packed.policies == [("access.cedar", ""), ("order.cedar", "permit;")]
    assert packed.schema == ("schema.cedarschema", "schema é")


def test_the_same_is_the_same_to_the_byte() -> None:
    """In whatever order the files come; the form is the documented one."""
    made = pack(FILES, 5, KEY)
    assert made == pack(FILES[::-1], 5, KEY)
    assert forged(manifest()) == pack([("a.cedar", ""), ("schema.cedarschema", "")], 1, KEY)
    length = struct.unpack(">I", made[16:20])[0]
    assert json.loads(made[HEAD : HEAD + length])["files"][0] == entry("access.cedar")
    assert made[HEAD + length :] == b"permit;rschema \xc3\xa9"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a bundle"),
        (b"PK\x03\x04" + bytes(100), "not a bundle"),
        (b"LYCHBDL1" + bytes(20), "cut short"),
        (pack(FILES, 5, KEY)[:-1], "cut short"),
        (pack(FILES, 5, KEY)[: HEAD + 20], "cut short"),
        (pack(FILES, 5, KEY) + b"!", "1 bytes after its end"),
        (pack(FILES, 5, KEY)[:-1] + b"!", "`schema.cedarschema` is not what was signed"),
        (
            pack(FILES, 5, STRANGER),
            f"signed with the key {key_id(STRANGER.public_key())}, which is not trusted ({key_id(PUBLIC)} are)",
        ),
        (
            pack(FILES, 5, KEY).replace(b'"serial":5', b'"serial":6'),
            f"the signature does not fit: it was altered after it was signed with {key_id(PUBLIC)}",
        ),
        (forged(b"", length=600_000), "a manifest of 600000 bytes; 524288 are allowed"),
        (bytes(16 * 1024 * 1024 + 1), "longer than 16777216 bytes"),
        (forged(b"{no"), "its manifest cannot be read: JSON is malformed: object keys must be strings (byte 1)"),
        (forged(manifest(more=1)), "its manifest cannot be read: Object contains unknown field `more`"),
        (forged(manifest(serial="1")), "its manifest cannot be read: Expected `int`, got `str` - at `$.serial`"),
        (forged(json.dumps(manifest(), sort_keys=True).encode()), "its manifest is not in canonical form"),
        (forged(manifest(format=2)), "format 2; this version reads 1"),
        (forged(manifest(serial=-1)), "the serial -1 is not within 0 and 9007199254740991"),
        (forged(manifest(serial=2**53)), "the serial 9007199254740992 is not within 0 and 9007199254740991"),
        (forged(manifest(files=[entry(f"p{n:04}.cedar") for n in range(4097)])), "4097 files; 4096 are allowed"),
        (forged(manifest(files=[entry("../a.cedar")])), "`../a.cedar` is not the name of a policy file"),
        (forged(manifest(files=[entry("a\u202e.cedar")])), "`a\\u202e.cedar` is not the name of a policy file"),
        (forged(manifest(files=[entry("A.cedar")])), "`A.cedar` is not the name of a policy file"),
        (forged(manifest(files=[entry("a.cedar\n")])), "`a.cedar\\n` is not the name of a policy file"),
        (forged(manifest(files=[entry("b.cedar"), entry("a.cedar")])), "its files are not sorted by name, each once"),
        (forged(manifest(files=[entry("a.cedar"), entry("a.cedar")])), "its files are not sorted by name, each once"),
        (forged(manifest(files=[entry("a.cedar")])), "without schema.cedarschema or without a policy"),
        (forged(manifest(files=[entry("schema.cedarschema")])), "without schema.cedarschema or without a policy"),
        (
            forged(manifest(files=[entry("a.cedar", size=-1), entry("schema.cedarschema")])),
            "a file of less than no bytes",
        ),
        (
            forged(manifest(files=[entry("a.cedar", b"\xff"), entry("schema.cedarschema")]), b"\xff"),
            "`a.cedar` is not UTF-8",
        ),
        (forged(manifest(files=[entry("a.cedar", size=2**60), entry("schema.cedarschema")])), "cut short"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    """With its reason, and nothing of what is inside is used."""
    assert refusal(data) == reason


def test_what_nobody_would_read_is_not_made() -> None:
    """Names, serials and sizes are those that a reader takes."""
    with pytest.raises(BundleRefused, match=r"`Order\.cedar` is not the name of a policy file"):
        pack([("Order.cedar", ""), ("schema.cedarschema", "")], 1, KEY)
    with pytest.raises(BundleRefused, match="the serial -1 is not within"):
        pack(FILES, -1, KEY)
    with pytest.raises(BundleRefused, match="longer than 16777216 bytes"):
        pack([("a.cedar", "x" * packing.MAX_BYTES), ("schema.cedarschema", "")], 1, KEY)


@given(st.data())
def test_no_altered_bundle_is_taken(data: st.DataObject) -> None:
    """Whatever bytes are changed, cut, doubled or added: it is refused, by that error alone."""
    made = bytearray(pack(FILES, 5, KEY))
    at = data.draw(st.integers(0, len(made) - 1))
    change = data.draw(st.sampled_from(["flip", "cut", "insert", "double"]))
    if change == "flip":
        made[at] ^= data.draw(st.integers(1, 255))
    elif change == "cut":
        del made[at : at + data.draw(st.integers(1, 50))]
    elif change == "insert":
        made[at:at] = data.draw(st.binary(min_size=1, max_size=50))
    else:
        made += made[at:]
    with pytest.raises(BundleRefused):
        unpack(bytes(made), [PUBLIC])
