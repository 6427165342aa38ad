"""JSON objects as tokens and key sets carry them, read so that two readers can never see two things."""

import json

import msgspec

from policies.model import Json


class NotAnObject(ValueError):
    """Not one strict JSON object."""


def parse_object(raw: bytes, max_containers: int) -> dict[str, Json]:
    """Read one JSON object.

    `msgspec` gives the value: strict UTF-8, strict grammar (no NaN, no lone surrogates, no trailing comma). It keeps
    the last of two equal member names, which RFC 8725 s2.4 warns of, so the standard library's reader goes over the
    same text once more, only for its view of every pair.

    Args:
        raw: The text.
        max_containers: How many `[` and `{` it may hold. It cannot be deeper than it has containers, so this bounds
            depth as well, before any recursive reader sees it; brackets in strings count too.

    Raises:
        NotAnObject: Anything else. The message holds nothing of the text.
    """
    if raw.count(b"{") + raw.count(b"[") > max_containers:
        raise NotAnObject("too many containers")
    try:
        value: Json = msgspec.json.decode(raw)
        json.loads(raw.decode(), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as exc:
        # msgspec.DecodeError and UnicodeDecodeError are ValueErrors; so is an integer beyond the interpreter's limit
        raise NotAnObject("not strict JSON") from exc
    if not isinstance(value, dict):
        raise NotAnObject("not an object")
    return value


def _distinct(pairs: list[tuple[str, Json]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise NotAnObject("a member twice")
