"""An emit held against the registry: its type, its fields and their values, its severity and the rest. Pure."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from audit.event import Kind, Outcome, Severity
from audit.redact.names import KeyNames
from audit.registry.check import misfit
from audit.registry.load import nearest
from audit.registry.model import NAME, EventType, Field, FieldType, Registry, is_past
from audit.severity import normalise
from lychgate.event_lint.emits import EVENT, Emit, block_of
from lychgate.event_lint.fields import Said, said, said_in_block
from lychgate.event_lint.index import Module
from lychgate.event_lint.scope import Place, Scope, Untold, look_up, texts
from lychgate.event_lint.secrets import leaks
from policies.errors import Finding

_CONTENT: Final = (
    "details", "changes", "resource", "resource_id", "resource_tenant", "resource_type", "action", "trace_id", "crud",
    "tenant_id",
)  # fmt: skip
"""What an emit may be told that ends in the event as it is. The actor is the caller, whatever it is called."""
_TYPES: Final[Mapping[str, FieldType]] = {
    "len": FieldType.INTEGER, "int": FieldType.INTEGER, "str": FieldType.STRING, "repr": FieldType.STRING,
    "bool": FieldType.BOOLEAN, "isinstance": FieldType.BOOLEAN, "timestamp": FieldType.STRING,
    "float": FieldType.NUMBER,
    "list": FieldType.LIST, "sorted": FieldType.LIST, "tuple": FieldType.LIST, "dict": FieldType.OBJECT,
}  # fmt: skip
_NAMES: Final = 8
"""Names for names."""
_LIKE: Final[Mapping[FieldType, frozenset[FieldType]]] = {
    FieldType.TIME: frozenset({FieldType.STRING}),
    FieldType.NUMBER: frozenset({FieldType.INTEGER, FieldType.NUMBER}),
}
_SAMPLES: Final[Mapping[FieldType, str]] = {
    FieldType.STRING: "text", FieldType.INTEGER: "an integer", FieldType.NUMBER: "a number", FieldType.LIST: "a list",
    FieldType.BOOLEAN: "true or false", FieldType.OBJECT: "an object", FieldType.TIME: "a time",
    FieldType.RANGE: "a pair of integers",
}  # fmt: skip


class Judge:
    """Says what is wrong with emits.

    Args:
        registry: What events there are.
        names: Which names are secrets'.
    """

    def __init__(self, registry: Registry, names: KeyNames) -> None:
        self._registry = registry
        self._names = names

    def unregistered(self, names: Iterable[str], place: tuple[ast.AST, Scope]) -> Iterator[Finding]:
        """Names of events that are not there, or not any more."""
        node, scope = place
        for name in sorted(names):
            entry = self._registry.types.get(name)
            if entry is None and not _is_name(name):
                yield finding(scope.module, node, "event-name", f"`{name}` is not `service.subject.past_fact`")
            elif entry is None:
                reason = f"`{name}` is not registered{nearest(name, self._registry.types)}"
                yield finding(scope.module, node, "unknown-event", reason)
            elif entry.retired is not None:
                yield finding(scope.module, node, "retired-event", f"`{name}` is retired since {entry.retired}")

    def emit(self, emit: Emit, names: Iterable[str], scope: Scope, site: Place, *, typed: bool) -> Iterator[Finding]:
        """What is wrong with one emit, as one caller brings it about.

        Args:
            emit: The call that emits.
            names: The types it may be of; only registered ones.
            scope: Where it stands, with the callers on the way bound.
            site: The call that brings it about: where what is missing is reported.
            typed: Whether it is handed a typed event, whose fields the type checker looks after.
        """
        details = self._details(emit, scope, site)
        for name in sorted(names):
            entry = self._registry.types[name]
            if not typed:
                yield from self._fields(name, details)
                yield from self._missing(name, entry, emit, details, scope, site)
            if not (emit.untold or (typed and "severity" not in emit.said)):
                yield from self._severity(name, entry, emit, scope, site)
            yield from self._envelope(name, entry, emit, scope, site, typed=typed)

    def handed(self, emit: Emit, names: Iterable[str], scope: Scope) -> Iterator[Finding]:
        """Values that a caller hands over and that do not fit; what is missing was said where the event is named."""
        details = said(emit.said["details"], scope) if "details" in emit.said else Said()
        for name in sorted(names):
            yield from self._fields(name, details)

    def leaks(self, emit: Emit, scope: Scope) -> Iterator[Finding]:
        """What must not be in it, of whatever type it is.

        Args:
            emit: The call that emits.
            scope: Where it stands; with callers bound, what they hand over is looked at too.
        """
        for name in _CONTENT:
            if name in emit.said:
                yield from self._leaks(emit.said[name], scope)
        for value in emit.call.args:
            yield from self._leaks(value, scope)
        block = block_of(emit.call, emit.scope.module)
        if block is not None and block[1]:
            for key, places in said_in_block(*block, emit.scope).values.items():
                yield from self._keyed(key, places)

    def changes(self, module: Module, call: ast.Call, scope: Scope) -> Iterator[Finding]:
        """A change that tells of a secret."""
        paths = [*call.args[:1], *(given.value for given in call.keywords if given.arg == "path")]
        for path in paths:
            told = texts(path, scope)
            for text in sorted(told) if isinstance(told, frozenset) else ():
                secret = next((step for step in text.split("/") if step and self._names.denied(step)), None)
                if secret is not None:
                    yield finding(module, path, "secret-change", f"`{text}`: `{secret}` is named like a secret")
        for given in call.keywords:
            if given.arg in {"old", "new"}:
                yield from self._leaks(given.value, scope)

    def _details(self, emit: Emit, scope: Scope, site: Place) -> Said:
        found = said(emit.said["details"], scope) if "details" in emit.said else Said()
        self._in_block(found, emit.call, scope)
        node, outside = site
        if isinstance(node, ast.Call) and node is not emit.call and found.recorded:
            self._in_block(found, node, outside)
        return found

    def _in_block(self, found: Said, call: ast.Call, scope: Scope) -> None:
        """Add what the block of a call says, where it opens one."""
        block = block_of(call, scope.module)
        if block is None or not block[1]:
            return
        more = said_in_block(*block, scope)
        for key, places in more.values.items():
            found.values.setdefault(key, []).extend(places)
        found.untold += more.untold
        found.recorded = more.recorded

    def _fields(self, name: str, details: Said) -> Iterator[Finding]:
        fields = self._registry.fields(name)
        for key, places in details.values.items():
            for node, scope in places:
                if key not in fields:
                    if not self._names.denied(key):
                        reason = f"`{name}` has no field `{key}`{nearest(key, fields)}"
                        yield finding(scope.module, node, "unknown-field", reason)
                elif (why := unfit(node, scope, fields[key])) is not None:
                    given, place = _given(node, scope)
                    yield finding(place.module, given, "field-type", f"`{name}`: `{key}` {why}")
        for node, scope in details.untold:
            yield finding(scope.module, node, "details-untold", "what this puts into `details` cannot be told")

    def _missing(
        self, name: str, entry: EventType, emit: Emit, details: Said, scope: Scope, site: Place
    ) -> Iterator[Finding]:
        outcome = texts(emit.said["outcome"], scope) if "outcome" in emit.said else frozenset([Outcome.SUCCESS.value])
        succeeds = isinstance(outcome, Untold) or Outcome.SUCCESS.value in outcome or not entry.severity
        if details.untold or details.handed or details.recorded or details.typed or emit.untold or not succeeds:
            return
        for key in sorted(entry.required - details.values.keys()):
            yield finding(site[1].module, site[0], "missing-field", f"`{name}` needs `{key}`, which is not given")

    def _severity(self, name: str, entry: EventType, emit: Emit, scope: Scope, site: Place) -> Iterator[Finding]:
        # Whoever says none gets `info`.
        told = texts(emit.said["severity"], scope) if "severity" in emit.said else frozenset([Severity.INFO.value])
        for word in sorted(told) if isinstance(told, frozenset) else ():
            try:
                ours, _ = normalise(word)
            except KeyError:
                yield finding(site[1].module, site[0], "wrong-severity", f"`{word}` is no severity")
                continue
            if ours not in entry.severities:
                listed = ", ".join(f"`{severity}`" for severity in entry.severities)
                reason = f"`{name}` is never `{ours}`; registered is {listed}"
                yield finding(site[1].module, site[0], "wrong-severity", reason)

    def _envelope(
        self, name: str, entry: EventType, emit: Emit, scope: Scope, site: Place, *, typed: bool
    ) -> Iterator[Finding]:
        default = {"kind": Kind.DOMAIN.value} if _last(emit.call) != EVENT and not typed else {}
        allowed: dict[str, tuple[str, ...]] = {
            "kind": (entry.kind.value,),
            "phase": tuple(phase.value for phase in entry.phases),
            "action": entry.actions,
            "crud": (*entry.crud, "x") if entry.crud else (),
        }
        for aspect, words in allowed.items():
            told = (
                texts(emit.said[aspect], scope)
                if aspect in emit.said
                else frozenset(filter(None, [default.get(aspect)]))
            )
            for word in sorted(told) if isinstance(told, frozenset) and words else ():
                if word not in words and not (aspect == "kind" and emit.untold):
                    reason = f"`{name}`: {aspect} `{word}` is not registered{nearest(word, words)}"
                    yield finding(site[1].module, site[0], "wrong-envelope", reason)
        kind = _resource(emit.said["resource"], scope) if "resource" in emit.said and entry.resource else frozenset()
        for word in sorted(kind):
            if word != entry.resource:
                reason = f"`{name}`: resource type `{word}` is not registered; it is `{entry.resource}`"
                yield finding(site[1].module, site[0], "wrong-envelope", reason)

    def _leaks(self, node: ast.expr, scope: Scope) -> Iterator[Finding]:
        for key, places in said(node, scope).values.items() if not isinstance(node, ast.Attribute) else ():
            yield from self._keyed(key, places)
        for leak in leaks(node, scope, self._names):
            yield finding(leak.scope.module, leak.node, leak.rule, leak.reason)

    def _keyed(self, key: str, places: list[Place]) -> Iterator[Finding]:
        for node, scope in places:
            if self._names.denied(key):
                yield finding(scope.module, node, "secret-field", f"`{key}` is the name of a secret")
            for leak in leaks(node, scope, self._names):
                yield finding(leak.scope.module, leak.node, leak.rule, leak.reason)


def finding(module: Module, node: ast.AST, rule: str, reason: str) -> Finding:
    """A finding at a node; columns count characters, where Python's own count bytes."""
    line, start = getattr(node, "lineno", 0), getattr(node, "col_offset", 0)
    lines = module.source.text.split("\n")
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    column = len(text.encode()[:start].decode("utf-8", "replace")) + 1
    return Finding(module.source.file, line, column if line else 0, reason, rule)


def unfit(node: ast.expr, scope: Scope, field: Field) -> str | None:  # noqa: PLR0911 - one line a form
    """Why what an expression gives cannot be what a field holds; None if it may."""
    node, scope = _stands_for(node, scope)
    told = texts(node, scope)
    if isinstance(told, frozenset):
        if field.type is FieldType.TIME:
            return None
        return next((why for text in sorted(told) if (why := misfit(text, field)) is not None), None)
    value = _number(node)
    if value is not None:
        return misfit(value, field)
    if isinstance(node, ast.Constant):
        return misfit(node.value, field)
    found = _type(node, scope)
    if found is None or found is field.type or found in _LIKE.get(field.type, ()):
        return None
    if found is FieldType.NUMBER and field.type is FieldType.INTEGER:
        return "is a number with a fraction, not an integer"
    return f"is {_SAMPLES[found]}, not {_SAMPLES[field.type]}"


def _given(node: ast.expr, scope: Scope) -> Place:
    """Where a value comes from that callers hand over: their place is where it is put right."""
    while isinstance(node, ast.Name) and scope.function is not None and scope.bindings is not None:
        value = scope.bindings.get(node.id) if node.id not in scope.function.assigned else None
        if value is None or scope.caller is None:
            break
        node, scope = value, scope.caller
    return node, scope


def _stands_for(node: ast.expr, scope: Scope) -> Place:
    """What a name stands for, where that is one thing."""
    for _ in range(_NAMES):
        places = look_up(node.id, scope) if isinstance(node, ast.Name) else Untold.UNKNOWN
        if isinstance(places, Untold) or len(places) != 1:
            break
        node, scope = places[0]
    return node, scope


def _number(node: ast.expr) -> int | float | None:
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, node = -1, node.operand
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return sign * node.value
    return None


def _type(node: ast.expr, scope: Scope) -> FieldType | None:  # noqa: PLR0911 - one line a form
    """What an expression gives, where its form says so."""
    match node:
        case ast.JoinedStr():
            return FieldType.STRING
        case ast.List() | ast.Tuple() | ast.ListComp() | ast.GeneratorExp() | ast.Set() | ast.SetComp():
            return FieldType.LIST
        case ast.Dict() | ast.DictComp():
            return FieldType.OBJECT
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return FieldType.BOOLEAN
        case ast.Call(func=ast.Name(id=name)):
            return _TYPES.get(name)
        case ast.Name(id=name):
            return _named(name, scope)
        case _:
            return None


def _named(name: str, scope: Scope) -> FieldType | None:
    """By the one value a name has, or a parameter's annotation."""
    places = look_up(name, scope)
    if not isinstance(places, Untold):
        found = {_type(value, place) if not isinstance(value, ast.Name) else None for value, place in places}
        return found.pop() if len(found) == 1 else None
    if scope.function is None:
        return None
    arguments = scope.function.node.args
    for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if one.arg == name and isinstance(one.annotation, ast.Name) and name not in scope.function.assigned:
            return _TYPES.get(one.annotation.id)
    return None


def _resource(node: ast.expr, scope: Scope, depth: int = 0) -> frozenset[str]:
    """The types a `Resource(...)` may have."""
    if isinstance(node, ast.Name) and depth < 4:  # noqa: PLR2004  # names for names
        places = look_up(node.id, scope)
        found = (
            [_resource(value, place, depth + 1) for value, place in places] if not isinstance(places, Untold) else []
        )
        return frozenset().union(*found)
    if not isinstance(node, ast.Call) or _last(node) != "Resource":
        return frozenset()
    given = [*node.args[:1], *(each.value for each in node.keywords if each.arg == "type")]
    told = texts(given[0], scope) if given else Untold.UNKNOWN
    return told if isinstance(told, frozenset) else frozenset()


def _is_name(name: str) -> bool:
    return NAME.fullmatch(name) is not None and is_past(name.rpartition(".")[2])


def _last(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
