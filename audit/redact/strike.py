"""Masking or removing fields of plain values, in place, each listed once. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from audit.redact.model import MASK, SECRET, Struck, Variant
from audit.redact.names import KeyNames, is_labelled
from audit.redact.paths import Paths, parse_paths
from audit.redact.values import Values

_Found: TypeAlias = dict[str, Struck]


class Secrets(NamedTuple):
    """How secrets are known that no path names."""

    names: KeyNames
    values: Values | None = None


def strike(
    event: dict[str, Any],
    classes: Mapping[str, Paths],
    variant: Variant | Mapping[str, Variant],
    *,
    keys: KeyNames | None = None,
    values: Values | None = None,
) -> list[Struck]:
    """Mask or remove fields in place.

    Args:
        event: Plain values, changed in place.
        classes: Paths by class.
        variant: How fields go; or by class, `remove` for one that is not named: then the event is one again afterwards,
            and what has a type of its own, a number, say, is removed where it would be masked.
        keys: If given, keys of secrets go as well, in the event's body.
        values: If given besides, values that look like secrets go as well: of a text only the secret in it.

    Returns:
        What went, each field once. Empty when nothing matched: the event is as it was.
    """
    struck: _Found = {}
    written = not isinstance(variant, Variant)
    if keys is not None and values is not None:
        _clean_names(event, values, struck)
    for reason, paths in classes.items():
        how = variant.get(reason, Variant.REMOVE) if isinstance(variant, Mapping) else variant
        for path in paths:
            if path[0] == "changes" and len(path) > 1:
                _strike_changes(event, path[1:], how, reason, struck)
            else:
                _strike(event, path, "", how, reason, struck, typed=written and _typed(path))
    if keys is not None:
        how = variant.get(SECRET, Variant.REMOVE) if isinstance(variant, Mapping) else variant
        _strike_secrets(event, Secrets(keys, values), how, struck)
    return list(struck.values())


def mask(
    event: Mapping[str, Any], classes: Mapping[str, Sequence[str]], variant: Variant | str = Variant.MASK
) -> tuple[dict[str, Any], list[Struck]]:
    """A reader's view of an event.

    Args:
        event: As stored; not changed.
        classes: Field paths by class.
        variant: `mask` or `remove`.

    Returns:
        A copy without the classes' values, and what went.
    """
    copy: dict[str, Any] = _copied(event)
    parsed = {reason: parse_paths(paths) for reason, paths in classes.items()}
    return copy, strike(copy, parsed, Variant(variant))


def strike_path(document: Any, path: tuple[str, ...], variant: Variant) -> int:
    """Mask or remove the fields at one path of any document, in place.

    Args:
        document: Plain values; a list as well as a dict.
        path: At least one part; `*` is any key and any element.
        variant: How fields go.

    Returns:
        How many went.
    """
    struck: _Found = {}
    _strike(document, path, "", variant, "", struck)
    return len(struck)


def strike_names(document: Any, names: frozenset[str], variant: Variant) -> int:
    """Mask or remove every field with one of these names (lower case), at any depth, in place.

    Returns:
        How many went.
    """
    struck: _Found = {}
    _strike_names(document, "", variant, lambda key: key.lower() in names, struck)
    return len(struck)


def pointer(path: str) -> tuple[str, ...]:
    """RFC 6901 section 4, without the empty first part."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]) if path else ()


def _typed(path: tuple[str, ...]) -> bool:
    """Whether what stands at a path of an event has a type, so that a mask may not take its place."""
    return path[0] != "details" if len(path) > 1 else True


def _strike(
    node: Any, path: tuple[str, ...], at: str, variant: Variant, reason: str, struck: _Found, *, typed: bool = False
) -> None:
    key, rest = path[0], path[1:]
    for name in _at(node, key):
        here = f"{at}.{name}" if at else f"{name}"
        if rest:
            _strike(node[name], rest, here, variant, reason, struck, typed=typed)
        elif isinstance(node, list) and key != "*" and variant is Variant.REMOVE and node[name] != MASK:
            if node[name] is not None:
                node[name] = None  # the others keep their numbers
                struck[here] = Struck(here, variant, reason)
        else:
            masks = variant is Variant.MASK and not (typed and not isinstance(node[name], str))
            _take(node, name, here, Variant.MASK if masks else Variant.REMOVE, reason, struck)


def _at(node: Any, key: str) -> Iterable[Any]:
    """The keys or indices of a node that a part of a path names; the last first, so that one may be removed."""
    if isinstance(node, dict):
        return list(node) if key == "*" else [key] if key in node else []
    if isinstance(node, list):
        if key == "*":
            return range(len(node) - 1, -1, -1)
        return [int(key)] if key.isascii() and key.isdecimal() and int(key) < len(node) else []
    return ()


def _strike_names(node: Any, at: str, variant: Variant, named: Callable[[str], bool], struck: _Found) -> None:
    if isinstance(node, dict):
        for name in list(node):
            here = f"{at}.{name}"
            if named(name):
                _take(node, name, here, variant, SECRET, struck)
            else:
                _strike_names(node[name], here, variant, named, struck)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _strike_names(value, f"{at}.{index}", variant, named, struck)


def _strike_changes(
    event: dict[str, Any], wanted: tuple[str, ...], variant: Variant, reason: str, struck: _Found
) -> None:
    """The values of changes that lie at or below a path, and what lies at it inside changes of something larger."""
    for change, parts in _changes(event):
        if not all(want in ("*", part) for part, want in zip(parts, wanted, strict=False)):
            continue
        rest = wanted[len(parts) :]
        for side in ("old", "new"):
            here = ".".join(("changes", *parts, side))
            if side not in change:
                continue
            if rest:
                _strike(change[side], rest, here, variant, reason, struck)
            else:
                _take(change, side, here, variant, reason, struck)


def _changes(event: dict[str, Any]) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    changes = event.get("changes")
    if changes == MASK:  # all of them are hidden already
        return
    for change in changes or ():  # anything else than changes is no event of ours: it fails, and is shown to nobody
        yield change, pointer(str(change.get("path", "")))


def _clean_names(event: dict[str, Any], values: Values, struck: _Found) -> None:
    """Take secrets out of keys and of changes' paths: first of all, for what goes is listed by them."""
    for root, free in (("details", True), ("input", False)):
        _clean_keys(event.get(root), root, values, struck, free=free)
    for index, (change, _) in enumerate(_changes(event)):
        for side in ("old", "new"):
            _clean_keys(change.get(side), f"changes.{index}.{side}", values, struck, free=True)
        path = change.get("path")
        if isinstance(path, str) and (cleaned := values.clean(path, free=True)) != path:
            change["path"] = cleaned
            here = f"changes.{index}.path"
            struck[here] = Struck(here, Variant.MASK, SECRET)


def _clean_keys(node: Any, at: str, values: Values, struck: _Found, *, free: bool) -> None:
    if isinstance(node, dict):
        for name in list(node):
            key = values.clean(str(name), free=free)
            if key != str(name):
                node[key] = node.pop(name)
                struck[f"{at}.{key}"] = Struck(f"{at}.{key}", Variant.MASK, SECRET)
            else:
                key = name
            _clean_keys(node[key], f"{at}.{key}", values, struck, free=free)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _clean_keys(value, f"{at}.{index}", values, struck, free=free)


def _strike_secrets(event: dict[str, Any], secrets: Secrets, variant: Variant, struck: _Found) -> None:
    if isinstance(event.get("details"), dict):
        _look(event["details"], "details", variant, secrets, struck, free=True)
    if isinstance(event.get("input"), dict):
        _look(event["input"], "input", variant, secrets, struck, free=False)
    for index, (change, parts) in enumerate(_changes(event)):
        named = any(secrets.names.denied(part) for part in parts)
        for side in ("old", "new"):
            if side not in change:
                continue
            if named:
                _take(change, side, ".".join(("changes", *parts, side)), variant, SECRET, struck)
            else:
                _look_at(change, side, f"changes.{index}.{side}", variant, secrets, struck, free=True)
    for root, name in (("resource", "id"), ("client", "user_agent")):
        part = event.get(root)
        if isinstance(part, dict) and isinstance(part.get(name), str):
            _look_at(part, name, f"{root}.{name}", variant, secrets, struck, free=False)


def _look(node: Any, at: str, variant: Variant, secrets: Secrets, struck: _Found, *, free: bool) -> None:
    """Take secrets out of a dict or list."""
    if isinstance(node, dict):
        labelled = secrets.names.labelled(node)
        for name in list(node):
            here = f"{at}.{name}"
            if holds(node[name]) and (secrets.names.denied(name) or (labelled and is_labelled(name))):
                _take(node, name, here, variant, SECRET, struck)
            else:
                _look_at(node, name, here, variant, secrets, struck, free=free)
    else:
        for index, value in enumerate(node):
            if secrets.names.paired(value):
                _take(value, 1, f"{at}.{index}.1", variant, SECRET, struck)
            else:
                _look_at(node, index, f"{at}.{index}", variant, secrets, struck, free=free)


def _look_at(node: Any, key: Any, at: str, variant: Variant, secrets: Secrets, struck: _Found, *, free: bool) -> None:
    """Take secrets out of a value, or the secret in it."""
    value = node[key]
    if isinstance(value, dict | list):
        _look(value, at, variant, secrets, struck, free=free)
    elif secrets.values is not None and secrets.values.secret(value, free=free):
        node[key] = secrets.values.clean(value, free=free) if isinstance(value, str) else MASK
        struck[at] = Struck(at, Variant.MASK, SECRET)


def holds(value: Any) -> bool:
    """Whether a value can be a secret that its key names: `token_used: true` tells none."""
    return value is not None and value is not True and value is not False


def _take(node: Any, key: Any, at: str, variant: Variant, reason: str, struck: _Found) -> None:
    # What is masked already is left: a field that two paths name goes once, and a second look changes nothing.
    if node[key] is None or node[key] == MASK:
        return
    if variant is Variant.REMOVE:
        del node[key]
    else:
        node[key] = MASK
    struck[at] = Struck(at, variant, reason)


def _copied(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _copied(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_copied(value) for value in node]
    return node
