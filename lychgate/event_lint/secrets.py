"""What must not go into an event, known by where it comes from: secrets by name, whole objects, errors' texts. Pure."""

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from audit.redact.names import KeyNames
from lychgate.event_lint.index import own_nodes
from lychgate.event_lint.scope import Place, Scope, Untold, look_up, owner_of, resolve

_DEPTH: Final = 6
_HARMLESS_ENDS: Final = (
    "sha256", "hash", "digest", "fingerprint", "count", "chars", "length", "kind", "type", "present", "token_id",
    "key_id", "issuer", "expires_at", "issued_at", "ttl_s", "name", "names", "error", "errors",
)  # fmt: skip
"""What a name ends in that says something about a secret and does not hold it: `token_sha256`, `password_length`. Whole
words: a `prototype` is no `type`; and no `bytes` and no `code`, which is what keys and passes are made of."""
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_HARMLESS_CALLS: Final = frozenset(
    {"len", "bool", "isinstance", "type", "hash", "sha256", "sha512", "blake2b", "blake2s", "hmac", "hexdigest",
     "fingerprint", "digest", "mask", "redact", "masked", "redacted"}
)  # fmt: skip
_WHOLE_CALLS: Final = frozenset({"locals", "globals", "vars", "asdict", "model_dump", "model_dump_json", "to_builtins"})
_WHOLE_METHODS: Final = frozenset({"dict", "_asdict"})
"""`payload.dict()`: a whole object, where `dict(...)` is what it is given."""
_ADDING: Final = frozenset({"append", "appendleft", "add", "extend", "insert", "update", "setdefault", "write"})
_REQUEST_PARTS: Final = frozenset(
    {"headers", "body", "json", "form", "cookies", "query_params", "data", "get_json", "get_data", "environ", "META",
     "POST", "GET", "FILES", "scope", "values", "args"}
)  # fmt: skip
_REQUESTS: Final = frozenset({"request", "req", "response", "resp", "http_request", "environ"})
_TEXT_OF_ERROR: Final = frozenset(
    {"args", "message", "msg", "detail", "details", "strerror", "stderr", "stdout", "output", "body", "text",
     "response", "reason", "doc", "object"}
)  # fmt: skip


class Leak(NamedTuple):
    """Something that must not go into an event.

    Attributes:
        rule: Which rule says so.
        reason: What it is.
        node: Where it stands.
        scope: In which module.
    """

    rule: str
    reason: str
    node: ast.AST
    scope: Scope


def leaks(node: ast.expr, scope: Scope, names: KeyNames) -> Iterator[Leak]:
    """What an expression that goes into an event brings along."""
    yield from _leaks(node, scope, names, 0, frozenset())


def _leaks(  # noqa: C901, PLR0912 - one line a form
    node: ast.expr, scope: Scope, names: KeyNames, depth: int, seen: frozenset[str]
) -> Iterator[Leak]:
    own = _leak(node, scope, names)
    if own is not None:
        yield own
        return
    if isinstance(node, ast.Compare | ast.Lambda):
        return  # whether it is one says nothing of it
    if isinstance(node, ast.Call) and _called(node) in _HARMLESS_CALLS:
        return
    if isinstance(node, ast.Attribute) and _is_self(node.value):
        yield from _kept(node, scope, names, depth, seen)
        return
    if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.value, ast.Call) and not _is_cut(node):
        return  # a part of something is judged by the part's own name
    if isinstance(node, ast.Subscript) and _is_cut(node):
        waiting: Iterable[ast.AST] = (node.value,)
    elif isinstance(node, ast.IfExp):
        waiting = (node.body, node.orelse)  # the condition only chooses
    elif isinstance(node, ast.Call) and (inside := _inside(node, scope)) is not None:
        for value in inside.function.returned if inside.function is not None and depth < _DEPTH else ():
            yield from _leaks(value, inside, names, depth + 1, seen)
        return
    elif isinstance(node, ast.Call):
        # A method of something is asked of it; a function's own name holds nothing.
        inner = [node.func.value] if isinstance(node.func, ast.Attribute) else []
        waiting = [*inner, *node.args, *(each.value for each in node.keywords)]
    elif isinstance(node, ast.Dict):
        if depth:  # the outermost one's keys are judged as fields
            yield from _keys(node, scope, names)
        waiting = node.values
    else:
        waiting = ast.iter_child_nodes(node)
    for child in waiting:
        inner_node = child.iter if isinstance(child, ast.comprehension) else child
        if isinstance(inner_node, ast.expr) and depth < _DEPTH * 4:
            yield from _leaks(inner_node, scope, names, depth + 1, seen)
    if isinstance(node, ast.Name) and node.id not in seen and len(seen) < _DEPTH:
        yield from _followed(node.id, scope, names, depth, seen)


def _inside(node: ast.Call, scope: Scope) -> Scope | None:
    """The inside of one of our own functions that gives something back: then that is what goes on."""
    inside = resolve(node, scope)
    return inside if inside is not None and inside.function is not None and inside.function.returned else None


def _followed(name: str, scope: Scope, names: KeyNames, depth: int, seen: frozenset[str]) -> Iterator[Leak]:
    """What a local name was given, or what the caller gave."""
    places: list[Place] | Untold = look_up(name, scope)
    known = [] if isinstance(places, Untold) else places
    for value, place in (*known, *((value, scope) for value in _given(name, scope))):
        if place.function is not None and not isinstance(value, ast.Constant):
            yield from _leaks(value, place, names, depth + 1, seen | {name})


def _given(name: str, scope: Scope) -> Iterator[ast.expr]:
    """What a local name gets in other ways than by `=`: in parts, from a loop, piece by piece."""
    for node in own_nodes(scope.function.node) if scope.function is not None else ():
        match node:
            case ast.AugAssign(target=ast.Name(id=target), value=value) if target == name:
                yield value
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from _unpacked(name, target, value)
            case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
                if name in {it.id for it in ast.walk(target) if isinstance(it, ast.Name)}:
                    yield value
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=word), args=args) if owner == name:
                yield from args if word in _ADDING else ()
            case _:
                pass


def _unpacked(name: str, target: ast.expr, value: ast.expr) -> Iterator[ast.expr]:
    """What a name gets of `a, b = x, y`; of anything that is not written out in parts, the whole."""
    if not isinstance(target, ast.Tuple | ast.List):
        return
    parts = value.elts if isinstance(value, ast.Tuple | ast.List) else []
    for at, each in enumerate(target.elts):
        if isinstance(each, ast.Name) and each.id == name:
            yield parts[at] if len(parts) == len(target.elts) else value


def _kept(node: ast.Attribute, scope: Scope, names: KeyNames, depth: int, seen: frozenset[str]) -> Iterator[Leak]:
    """What a method of the same class has put into `self.note`."""
    label = f"self.{node.attr}"
    owner = owner_of(scope.function)
    if owner is None or label in seen or len(seen) >= _DEPTH:
        return
    for one in scope.module.functions.values():
        if one.owner != owner:
            continue
        inside = Scope(scope.project, scope.module, one)
        for write in one.writes:
            targets = write.targets if isinstance(write, ast.Assign) else [getattr(write, "target", None)]
            value = getattr(write, "value", None)
            for target in targets:
                if isinstance(target, ast.Attribute) and _is_self(target.value) and target.attr == node.attr and value:
                    yield from _leaks(value, inside, names, depth + 1, seen | {label})


def _is_cut(node: ast.expr) -> bool:
    """Whether it is a piece of something that is all alike: `password[:4]`, `tokens[0]`."""
    match node:
        case ast.Subscript(slice=ast.Slice() | ast.Constant(value=int()) | ast.UnaryOp()):
            return True
        case _:
            return False


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _keys(node: ast.Dict, scope: Scope, names: KeyNames) -> Iterator[Leak]:
    """Secrets by their names in a dictionary within another, or within a text that is made of it."""
    for key, value in zip(node.keys, node.values, strict=True):
        word = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""
        if word and names.denied(word) and not _is_harmless(word):
            yield Leak("secret-field", f"`{word}` is the name of a secret", value, scope)


def _leak(node: ast.expr, scope: Scope, names: KeyNames) -> Leak | None:
    """What one node is itself, if it is one of these."""
    named = _name_of(node)
    if named and names.denied(named) and not _is_harmless(named):
        return Leak("secret-value", f"`{named}` is named like a secret", node, scope)
    if (whole := _whole(node, scope)) is not None:
        return Leak("whole-object", f"{whole} goes into an event as a whole", node, scope)
    if (text := _error_text(node, scope)) is not None:
        return Leak("exception-text", f"{text} is an exception's text", node, scope)
    return None


def _name_of(node: ast.expr) -> str:  # noqa: PLR0911 - one line a form
    """The name that says what a value is: of a variable, an attribute, a key, or a function that gives it."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=ast.Attribute(attr="cookies")):
            return "cookie"
        case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="cookies"), attr="get")):
            return "cookie"
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return key
        case ast.Call(
            func=ast.Attribute(attr="get" | "pop" | "getlist" | "get_all"), args=[ast.Constant(value=str(key)), *_]
        ):
            return key
        case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(key)), *_]):
            return key
        case ast.Call(func=ast.Attribute(attr="getenv"), args=[ast.Constant(value=str(key)), *_]):
            return key
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name.startswith(("get_", "read_", "load_")):
            return name.partition("_")[2]
    return ""


def _is_harmless(name: str) -> bool:
    words = "_" + _CAMEL.sub("_", name).lower()
    return words.endswith(tuple(f"_{end}" for end in _HARMLESS_ENDS))


def _whole(node: ast.expr, scope: Scope) -> str | None:  # noqa: PLR0911 - one line a form
    called = _called(node)
    of_it = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    if called in _WHOLE_CALLS or (of_it and called in _WHOLE_METHODS):
        return f"`{called}(...)`"
    if isinstance(node, ast.Attribute) and node.attr == "__dict__":
        return "`__dict__`"
    if isinstance(node, ast.Attribute) and scope.module.qualified(node) == "os.environ":
        return "`os.environ`"
    if isinstance(node, ast.Name) and scope.function is not None:
        arguments = scope.function.node.args
        if arguments.kwarg is not None and arguments.kwarg.arg == node.id:
            return f"`**{node.id}`"
        if node.id in _REQUESTS and node.id in scope.function.every:
            return f"`{node.id}`"
    part = node.func if isinstance(node, ast.Call) else node
    if isinstance(part, ast.Attribute) and part.attr in _REQUEST_PARTS and _is_request(part.value):
        return f"`{ast.unparse(part)}`"
    return None


def _is_request(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Attribute) and _last(node) in _REQUESTS


def _error_text(node: ast.expr, scope: Scope) -> str | None:
    """Of an exception: itself, its text, its parts that are text."""
    called = _called(node)
    if isinstance(node, ast.Subscript):
        node = node.value  # `exc.args[0]`
    if called in {"format_exc", "format_exception", "format_tb", "print_exc", "exc_info"}:
        return f"`{called}()`"
    if isinstance(node, ast.Name) and _is_caught(node, scope):
        return f"`{node.id}`"
    if isinstance(node, ast.Attribute) and node.attr in _TEXT_OF_ERROR and isinstance(node.value, ast.Name):
        return f"`{node.value.id}.{node.attr}`" if _is_caught(node.value, scope) else None
    return None


def _is_caught(node: ast.Name, scope: Scope) -> bool:
    """Whether a name is what an `except ... as` around it has caught."""
    parents, at = scope.module.parents, scope.module.parents.get(node)
    while at is not None and at not in scope.module.functions:
        if isinstance(at, ast.ExceptHandler) and at.name == node.id:
            return True
        if isinstance(at, ast.Call) and _called(at) in {"type", "isinstance"} and node in at.args:
            return False
        at = parents.get(at)
    return False


def _called(node: ast.AST) -> str:
    return _last(node.func) if isinstance(node, ast.Call) else ""


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
