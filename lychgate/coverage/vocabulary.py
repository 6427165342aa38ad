"""A call -> whether it emits, writes, refuses, or does nothing of the kind. Pure but for the resolver's reading."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lychgate.coverage import words
from lychgate.coverage.resolve import Resolver
from lychgate.coverage.symbols import Class, External, Function, Instance, ModuleRef, Scope, Symbol, dotted_text

_PRODUCER = "audit.producer.AuditProducer"
_OURS = ("audit.producer.", "audit.outbox.", "audit.recorded.", "lychgate.audit.")


@dataclass(frozen=True, slots=True)
class Own:
    """What a service's configuration adds.

    Attributes:
        emitters: Names that emit: `shop.trail.record`, `*.record_event`.
        writers: Names that write.
        readers: Names that do not, though they look like it.
        verbs: First words of handlers' names.
    """

    emitters: tuple[str, ...] = ()
    writers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    verbs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Judges calls of one service."""

    resolver: Resolver
    own: Own

    def emits(self, func: ast.expr, symbol: Symbol | None, scope: Scope) -> bool:  # noqa: PLR0911 - one rule after the other
        """Whether what is called, entered or decorated with records an audit event."""
        text = dotted_text(func)
        if _named(self.own.emitters, text, symbol):
            return True
        word = text.rpartition(".")[2]
        if word not in words.EMITTING:
            return False
        if isinstance(func, ast.Attribute) and self._may_be_own(func.value, word, scope):
            return False  # one of the things it may be is the service's own, and its code says otherwise
        name = qualified(symbol)
        if name is not None and name.startswith(_OURS):
            return True
        if isinstance(symbol, Function):
            return False  # its code is at hand and says
        if isinstance(symbol, External) and not _is_auditor(symbol.dotted.rpartition(".")[0].rpartition(".")[2]):
            return False
        owner = text.rpartition(".")[0].rpartition(".")[2]
        return _is_auditor(owner)

    def _may_be_own(self, owner: ast.expr, word: str, scope: Scope) -> bool:
        """Whether an emitter is chosen between several, one of which is code of the service's own."""
        found = self.resolver.candidates(owner, scope)
        members = [self.resolver.member(it, word) for it in found]
        own = [it for it in members if isinstance(it, Function) and not it.dotted.startswith(_OURS)]
        return len(found) > 1 and bool(own)

    def lazy(self, func: ast.expr, symbol: Symbol | None) -> bool:
        """Whether a call does nothing unless it is awaited."""
        if isinstance(symbol, Function):
            return symbol.is_async
        return dotted_text(func).rpartition(".")[2] in words.AWAITED

    def writes(  # noqa: PLR0911, C901 - one rule after the other
        self, call: ast.Call, symbol: Symbol | None, scope: Scope
    ) -> str | None:
        """What a call writes with, as it is written; none where it does not."""
        text = dotted_text(call.func)
        if _named(self.own.readers, text, symbol):
            return None
        if _named(self.own.writers, text, symbol):
            return text
        if isinstance(symbol, Function | Class | ModuleRef):
            return None  # followed
        if _of_super(call.func) in words.HOOKS:
            return text
        if _is_harmless(symbol):
            return None
        owners, _, word = text.rpartition(".")
        owner = owners.rpartition(".")[2]
        if word in words.EXECUTING:
            return text if self._sql_writes(call, scope, sure=word.startswith(("fetch", "scalar", "raw"))) else None
        if not owners:  # a function that is not at hand
            return text if _noun_verb(word) and not isinstance(symbol, External) else self._external(symbol, text)
        if owner.lower() in words.HARMLESS_OWNERS:
            return None
        if word in words.SURE_WRITERS:
            return text
        keeps = bool(words.KEEPERS.intersection(words.words(owner))) or _chained(call.func)
        if word in words.DOUBTFUL_WRITERS:
            alone = word in {"delete", "create", "insert", "update"} and isinstance(call.func, ast.Attribute)
            return text if keeps or (alone and self._is_record(call.func, scope)) else None
        return text if _noun_verb(word) else None

    def _external(self, symbol: Symbol | None, text: str) -> str | None:
        if not isinstance(symbol, External):
            return None
        return text if _noun_verb(symbol.dotted.rpartition(".")[2]) else None

    def _is_record(self, func: ast.expr, scope: Scope) -> bool:
        """Whether `x.delete()` is of a record: x is no literal, module or thing of the library's."""
        if not isinstance(func, ast.Attribute):
            return False
        owner = self.resolver.value(func.value, scope)
        if isinstance(owner, ModuleRef) or _is_harmless(owner):
            return False
        return not isinstance(owner, Instance) or "hash" not in dotted_text(func.value).lower()

    def _sql_writes(self, call: ast.Call, scope: Scope, *, sure: bool) -> bool:  # noqa: PLR0911 - a table
        """Whether a statement writes; one that nobody can read does, unless `sure` asks for proof."""
        if not call.args:
            return False
        node: ast.expr | None = self._said(call.args[0], scope)
        for _ in range(8):
            match node:
                case ast.Constant(value=str(text)):
                    return bool(words.SQL_WRITES.match(text))
                case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]):
                    return bool(words.SQL_WRITES.match(text))
                case ast.BinOp(left=left):
                    node = self._said(left, scope)
                case ast.Call(func=func, args=args):
                    chain = dotted_text(func).split(".")
                    if words.BUILDERS.intersection(chain):
                        return True
                    if {"select", "text", "format", "exists", "union"}.isdisjoint(chain):
                        return not sure
                    if "select" in chain or "exists" in chain or "union" in chain:
                        return False
                    inner = func.value if chain[-1] == "format" and isinstance(func, ast.Attribute) else None
                    node = self._said(inner or (args[0] if args else call), scope)
                case _:
                    return not sure
        return not sure

    def _said(self, node: ast.expr, scope: Scope) -> ast.expr:
        """The expression that a name was bound to once."""
        if not isinstance(node, ast.Name):
            return node
        blocks = [*reversed(scope.functions), scope.module.tree]
        for block in blocks:
            found = self.resolver.program.names(scope.module, block).bound.get(node.id, [])
            if len(found) == 1 and isinstance(found[0], ast.expr):
                return found[0]
            if found:
                return node
        return node

    def harmless(self, call: ast.Call, symbol: Symbol | None) -> bool:
        """Whether a call can be passed over after a change: a log's line, an answer that is made."""
        if _is_harmless(symbol) or isinstance(symbol, Class):  # one whose making is not our own code
            return True
        text = dotted_text(call.func)
        owners, _, word = text.rpartition(".")
        if word in words.UNDOING:
            return True
        owner = owners.rpartition(".")[2].lower().lstrip("_")
        if owner in words.HARMLESS_OWNERS or word.endswith(("Response", "Error", "Exception")):
            return True
        # a value class of our own or of a library: it holds what it is given
        return isinstance(symbol, Class | External | type(None)) and word[:1].isupper() and not owners

    def reading(self, call: ast.Call) -> bool:
        """Whether an unknown call is only one that reads or makes something, by its name."""
        text = dotted_text(call.func)
        owners, _, word = text.rpartition(".")
        found = words.words(word)
        if {"request", "req", "serializer", "form", "schema"}.intersection(owners.split(".")):
            return True
        return (
            word[:1].isupper()
            or word in words.GATHERING | words.EXECUTING | words.OPENING
            or bool(found and found[0] in words.READING_VERBS)
        )


def qualified(symbol: Symbol | None) -> str | None:
    """`shop.store.Store.put`; none where it is not known."""
    match symbol:
        case Function() | Class() | External():
            return symbol.dotted
        case Instance(of=of):
            return of.dotted
        case ModuleRef(module=module):
            return module.name
        case _:
            pass
    return None


def is_producer(symbol: Symbol | None) -> bool:
    """Whether it is an object that emits."""
    return isinstance(symbol, Instance) and symbol.of.dotted == _PRODUCER


def _named(patterns: Sequence[str], text: str, symbol: Symbol | None) -> bool:
    names = [text, *([name] if (name := qualified(symbol)) else [])]
    return any(fnmatchcase(name, pattern) or name.endswith(f".{pattern}") for pattern in patterns for name in names)


def _of_super(func: ast.expr) -> str | None:
    """`form_valid` of `super().form_valid`."""
    match func:
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=attr):
            return attr
        case _:
            pass
    return None


def _is_auditor(word: str) -> bool:
    return bool(words.AUDITORS.intersection(words.words(word)))


def _is_harmless(symbol: Symbol | None) -> bool:
    name = qualified(symbol) if isinstance(symbol, External | Instance) else None
    if name is None or name.startswith(words.SAYS_NOTHING):
        return False
    return f"{name}.".startswith(words.HARMLESS_MODULES)


def _noun_verb(word: str) -> bool:
    """`update_stock`, not `update` alone and not `set_cookie`."""
    found = words.words(word)
    return len(found) > 1 and found[0] in words.VERBS and not words.HARMLESS_NOUNS.intersection(found[1:])


def _chained(func: ast.expr) -> bool:
    """`Order.objects.filter(...).update()`, `session.query(...).delete()`."""
    parts = dotted_text(func).split(".")[:-1]
    return any(words.KEEPERS.intersection(words.words(part)) for part in parts) or bool(
        {"filter", "filter_by", "where", "query"}.intersection(parts)
    )
