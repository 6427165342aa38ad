"""What calls do to a path: emit, write, refuse, or whatever the code they lead to does, up to three levels down.

`Analysis` keeps the effect of each function that was followed; `Walk` walks one function with it.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from lychgate.coverage import words
from lychgate.coverage.flow import Flow, failed, unrecorded
from lychgate.coverage.model import Place
from lychgate.coverage.paths import RECORDING, START, At, Context, Effect, Emitted, Kind, Raised, Returned, after
from lychgate.coverage.resolve import Resolver
from lychgate.coverage.shape import has_argument, in_comprehension, is_generator, is_manager, returned_call
from lychgate.coverage.symbols import Class, External, Function, Instance, Scope, Symbol, dotted_text
from lychgate.coverage.vocabulary import Vocabulary, qualified

LEVELS: Final = 3
"""How far calls are followed from the handler."""


class Analysis:
    """One pass over one handler.

    Args:
        vocabulary: The service's words.
        resolver: Its names.
        method: The HTTP method it is asked with.
        suspicious: Whether each unknown call may be the one that changes something, as none was found that does.

    Attributes:
        writers: What was found to write, with its place.
        notes: Why something could not be known.
        emitters: How many calls emit.
    """

    def __init__(
        self, vocabulary: Vocabulary, resolver: Resolver, method: str | None, *, suspicious: bool = False
    ) -> None:
        self.vocabulary = vocabulary
        self.resolver = resolver
        self.method = method
        self.suspicious = suspicious
        self.writers: dict[str, None] = {}
        self.notes: dict[str, None] = {}
        self.emitters = 0
        self._effects: dict[tuple[Function, bool, int], Effect | None] = {}

    def effect(self, function: Function, *, wrote: bool, level: int) -> Effect | None:
        """What a call of a function does; none where it is not followed."""
        if level > LEVELS:
            if self.calls_emitter(function):
                self.notes[f"`{function.node.name}` is more than {LEVELS} calls away"] = None
            return None
        key = (function, wrote, level)
        if key not in self._effects:
            self._effects[key] = None  # a function that calls itself is not followed round
            self._effects[key] = self.run(function, At(wrote=wrote), level)
        return self._effects[key]

    def run(self, function: Function, start: At, level: int, called: Mapping[str, Effect] | None = None) -> Effect:
        """Walk a function's body from a state."""
        walk = Walk(self, function, level, called or {})
        ends = walk.block(function.node.body, {start})
        last = function.node.body[-1]
        place = Place(function.module.shown, getattr(last, "end_lineno", None) or last.lineno)
        returns = walk.frame.returns | {Returned(at, place, "ends") for at in ends}
        return Effect(frozenset(it.at for it in returns), frozenset(returns), frozenset(walk.frame.raises))

    def calls_emitter(self, function: Function) -> bool:
        """Whether somewhere in a function an emitter is called."""
        return any(
            isinstance(node, ast.Call)
            and self.vocabulary.emits(node.func, self.resolver.value(node.func, function.inside), function.inside)
            for node in ast.walk(function.node)
        )

    def manager(self, function: Function, *, wrote: bool, level: int) -> Context | None:
        """What a generator does around a `with` block, or around a handler that depends on it."""
        effect = self.effect(function, wrote=wrote, level=level)
        if effect is None:
            return None
        told = [it for it in effect.raises if it.kind is not Kind.SILENT]
        return Context(
            leave=frozenset(at._replace(phase=0) for at in effect.ends if at.phase == 1),
            fail=frozenset(it.at._replace(phase=0) for it in told if it.at.phase == 2),  # noqa: PLR2004 - `At`
            swallow=frozenset(at._replace(phase=0) for at in effect.ends if at.phase == 2),  # noqa: PLR2004 - `At`
            raises_in=frozenset(it for it in told if it.at.phase == 0),
            raises_out=frozenset(it._replace(at=it.at._replace(phase=0)) for it in told if it.at.phase == 1),
        )


class Walk(Flow):
    """Walks one function.

    Args:
        analysis: The pass it belongs to.
        function: Which.
        level: How many calls from the handler.
        called: Names whose effect is known: in a decorator, that of what it decorates.
    """

    def __init__(self, analysis: Analysis, function: Function, level: int, called: Mapping[str, Effect]) -> None:
        super().__init__(function.module.shown, analysis.method)
        self._analysis = analysis
        self._words = analysis.vocabulary
        self._resolver = analysis.resolver
        self._function = function
        self._scope: Scope = function.inside
        self._level = level
        self._called = called

    def evaluate(self, node: ast.expr | None, paths: set[At], *, awaited: bool = False) -> set[At]:  # noqa: PLR0911, PLR0912, C901 - the language's expressions
        """The paths after an expression; its parts in the order in which they are evaluated."""
        if node is None or not paths:
            return paths
        match node:
            case ast.Constant() | ast.Name() | ast.Lambda():
                return paths
            case ast.Await(value=value):
                return self.evaluate(value, paths, awaited=True)
            case ast.Call():
                return self._call(node, paths, awaited=awaited)
            case ast.BoolOp(values=[first, *others]):
                found = paths = self.evaluate(first, paths)
                for part in others:
                    paths = self.evaluate(part, paths)
                    found = found | paths
                return found
            case ast.IfExp(test=test, body=body, orelse=orelse):
                paths = self.evaluate(test, paths)
                known = self.truth(test)
                yes = set[At]() if known is False else self.evaluate(body, paths, awaited=awaited)
                return yes | (set[At]() if known is True else self.evaluate(orelse, paths, awaited=awaited))
            case ast.ListComp() | ast.SetComp() | ast.DictComp():
                inner = paths = self.evaluate(node.generators[0].iter, paths)
                for part in in_comprehension(node):
                    inner = self.evaluate(part, inner)
                return paths | inner  # there may be nothing to go through
            case ast.GeneratorExp():
                return self.evaluate(node.generators[0].iter, paths)
            case ast.Yield(value=value) | ast.YieldFrom(value=value):
                paths = self.evaluate(value, paths)
                thrown = {at._replace(phase=2) for at in paths}
                self.frame.raises |= {
                    Raised(at, None, Kind.FAILED, self.place(node), "the block fails") for at in thrown
                }
                return {at._replace(phase=1) for at in paths}
            case _:
                pass
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                paths = self.evaluate(child, paths)
        return paths

    def _call(self, call: ast.Call, paths: set[At], *, awaited: bool) -> set[At]:  # noqa: PLR0911 - what a call can be
        text = dotted_text(call.func)
        word = text.rpartition(".")[2]
        if awaited and word in words.TOGETHER:
            paths = self._together(call, paths)
        else:
            paths = self._arguments(call, paths, together=False)
        if not paths:
            return paths
        if isinstance(call.func, ast.Name) and (effect := self._called.get(call.func.id)) is not None:
            return self._applied(effect, {at._replace(phase=1) for at in paths})
        symbol = self._resolver.value(call.func, self._scope)
        if word in words.RUNNING and awaited:
            return self._handed_over(call, paths)
        if self._words.emits(call.func, symbol, self._scope):
            return self._emit(call, symbol, paths, awaited=awaited)
        if word in words.REFUSING and not isinstance(symbol, Function):
            self.frame.raises |= failed(paths, self.place(call), f"calls `{text}`", Kind.RAISED, "HTTPException")
            return set()
        if isinstance(symbol, Class):
            made = self._resolver.member(symbol, "__init__")
            symbol = made if isinstance(made, Function) else symbol
        if isinstance(symbol, Function) and not _named_reader(self._words, text, symbol):
            return self._follow(call, symbol, paths, awaited=awaited)
        return self._unknown(call, symbol, text, paths)

    def _arguments(self, call: ast.Call, paths: set[At], *, together: bool) -> set[At]:
        """The paths after what is called and its arguments are evaluated."""
        if isinstance(call.func, ast.Attribute):
            paths = self.evaluate(call.func.value, paths)
        elif not isinstance(call.func, ast.Name):
            paths = self.evaluate(call.func, paths)
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            inner = argument.value if isinstance(argument, ast.Starred) else argument
            paths = self.evaluate(inner, paths, awaited=together)
        return paths

    def _together(self, call: ast.Call, paths: set[At]) -> set[At]:
        """`await asyncio.gather(...)`; with `return_exceptions=True` nobody hears of what fails in it."""
        swallows = any(
            it.arg == "return_exceptions" and not (isinstance(it.value, ast.Constant) and not it.value.value)
            for it in call.keywords
        )
        if not swallows:
            return self._arguments(call, paths, together=True)
        silent = Context(swallow=frozenset({START}), fail=frozenset())
        return self.around(silent, paths, lambda entered: self._arguments(call, entered, together=True))

    def _handed_over(self, call: ast.Call, paths: set[At]) -> set[At]:
        """`await asyncio.to_thread(audit.emit, ...)`: as if what is handed over were called here."""
        functions = [it for it in call.args if isinstance(it, ast.Name | ast.Attribute)]
        for node in functions:
            symbol = self._resolver.value(node, self._scope)
            made = ast.copy_location(ast.Call(func=node, args=[], keywords=[]), call)
            if isinstance(symbol, Function) or self._words.emits(node, symbol, self._scope):
                return self._call(made, paths, awaited=True)
            if self._words.writes(made, symbol, self._scope):
                return self._call(made, paths, awaited=True)
        return paths

    def _emit(self, call: ast.Call, symbol: Symbol | None, paths: set[At], *, awaited: bool) -> set[At]:
        text = dotted_text(call.func)
        if self._words.lazy(call.func, symbol) and not awaited:
            self._analysis.notes[f"`{text}` at {self.place(call)} is not awaited, and does nothing"] = None
            return paths
        if text.rpartition(".")[2] in {"recording", "recording_durable", "recorded", "changing"}:
            self._analysis.notes[f"`{text}` at {self.place(call)} is not entered by `with`"] = None
            return paths
        self._analysis.emitters += 1
        self.frame.raises |= unrecorded(paths, self.place(call), f"`{text}` fails")
        return after(paths, {At(Emitted.YES)})

    def _follow(self, call: ast.Call, function: Function, paths: set[At], *, awaited: bool) -> set[At]:
        text = dotted_text(call.func)
        if function.is_async and not awaited and not is_generator(function):
            if self._analysis.calls_emitter(function):
                self._analysis.notes[f"`{text}` at {self.place(call)} is not awaited here"] = None
            return self._spawned(call, text, function, paths)
        done: set[At] = set()
        for wrote in {at.wrote for at in paths}:
            some = {at for at in paths if at.wrote is wrote}
            effect = self._analysis.effect(function, wrote=wrote, level=self._level + 1)
            if effect is None:
                done |= self._beyond(call, text, some)
            elif is_generator(function):  # runs as far as its reader reads
                written = {at._replace(emitted=Emitted.NO, phase=0) for at in effect.ends} | {START}
                done |= after(some, written)
            else:
                done |= self._applied(effect, some)
        return done

    def _spawned(self, call: ast.Call, text: str, function: Function, paths: set[At]) -> set[At]:
        """What runs by itself, later: what it changes is changed by who asked; what it emits may never be emitted."""
        effect = self._analysis.effect(function, wrote=False, level=self._level + 1)
        left = (*effect.ends, *(it.at for it in effect.raises)) if effect is not None else ()
        return self._write(call, text, paths) if any(at.wrote for at in left) else paths

    def _applied(self, effect: Effect, paths: set[At]) -> set[At]:
        self.frame.raises |= {it._replace(at=at.then(it.at)) for it in effect.raises for at in paths}
        return after(paths, effect.ends)

    def _beyond(self, call: ast.Call, text: str, paths: set[At]) -> set[At]:
        """A call that is too far away to be followed: its name says whether it writes; it emits nothing."""
        if words.verb(text.rpartition(".")[2]):
            return self._write(call, text, paths)
        self.frame.raises |= failed(paths, self.place(call), f"`{text}` fails", Kind.SILENT)
        return paths

    def _unknown(self, call: ast.Call, symbol: Symbol | None, text: str, paths: set[At]) -> set[At]:
        """A call whose code is not at hand."""
        if self._words.writes(call, symbol, self._scope):
            return self._write(call, text, paths)
        word = text.rpartition(".")[2]
        refuses = word in words.MAY_REFUSE or any(
            it.arg == "raise_exception" and isinstance(it.value, ast.Constant) and it.value.value is True
            for it in call.keywords
        )
        if refuses:
            self.frame.raises |= failed(paths, self.place(call), f"`{text}` refuses", Kind.RAISED)
            return paths
        if self._words.harmless(call, symbol):
            self.frame.raises |= {Raised(at, None, Kind.SILENT, self.place(call), f"`{text}` fails") for at in paths}
            return paths
        if self._analysis.suspicious and not self._words.reading(call):
            return self._write(call, text, paths)
        self.frame.raises |= failed(paths, self.place(call), f"`{text}` fails", Kind.SILENT)
        return paths

    def _write(self, node: ast.AST, text: str, paths: set[At]) -> set[At]:
        self._analysis.writers[f"`{text}` at {self.place(node)}"] = None
        paths = {at._replace(wrote=True) for at in paths}
        self.frame.raises |= failed(paths, self.place(node), f"`{text}` fails", Kind.FAILED)
        return paths

    def writes_to(self, target: ast.expr, paths: set[At]) -> set[At]:
        """`ORDERS[order_id] = order` changes what the module keeps; so does `del ORDERS[order_id]`."""
        match target:
            case ast.Subscript(value=ast.Name(id=name) as owner):
                local = any(
                    name in self._resolver.program.names(self._scope.module, it).bound or has_argument(it, name)
                    for it in self._scope.functions
                )
                kept = name in self._resolver.program.names(self._scope.module, self._scope.module.tree).bound
                found = self._resolver.value(owner, self._scope)
                foreign = isinstance(found, External) and found.dotted.startswith(words.HARMLESS_MODULES)
                if not local and kept and not foreign:
                    return self._write(target, f"{name}[...]", paths)
            case ast.Subscript(value=value):
                parts = dotted_text(value).split(".")
                if any(words.KEEPERS.intersection(words.words(part)) - {"session", "sessions"} for part in parts[1:]):
                    return self._write(target, f"{dotted_text(value)}[...]", paths)
            case ast.Tuple(elts=elts) | ast.List(elts=elts):
                for part in elts:
                    paths = self.writes_to(part, paths)
            case _:
                pass
        return paths

    def context(  # noqa: PLR0911 - what a `with` can be
        self, node: ast.expr, body: Sequence[ast.stmt], paths: set[At]
    ) -> tuple[set[At], Context]:
        """What a `with` does: recorded by an emitter, by our own code's `yield` or `__exit__`, or nothing of it."""
        inner = node.value if isinstance(node, ast.Await) else node
        if not isinstance(inner, ast.Call):
            return self.evaluate(node, paths), self._object(self._resolver.value(inner, self._scope), paths)
        symbol = self._resolver.value(inner.func, self._scope)
        text = dotted_text(inner.func)
        word = text.rpartition(".")[2]
        if self._words.emits(inner.func, symbol, self._scope):
            self._analysis.emitters += 1
            paths = self._arguments(inner, paths, together=False)
            self.frame.raises |= unrecorded(paths, self.place(inner), f"`{text}` fails")
            return paths, RECORDING
        if word == "suppress" and qualified(symbol) in {"contextlib.suppress", None}:
            return self._arguments(inner, paths, together=False), Context(swallow=frozenset({START}))
        for _ in range(LEVELS):  # `with self._recording(...)`, which returns a recorder
            made = returned_call(symbol)
            if made is None or not isinstance(symbol, Function):
                break
            inside = self._resolver.value(made.func, symbol.inside)
            if self._words.emits(made.func, inside, symbol.inside):
                self._analysis.emitters += 1
                return self._arguments(inner, paths, together=False), RECORDING
            symbol = inside
        if isinstance(symbol, Function) and is_manager(symbol):
            paths = self._arguments(inner, paths, together=False)
            found = self._analysis.manager(symbol, wrote=any(at.wrote for at in paths), level=self._level + 1)
            return paths, found or Context()
        paths = self.evaluate(node, paths)
        if word in words.OPENING:
            # It commits what was written in it, and attributes that were set are written by it.
            stores = any(isinstance(it, ast.Attribute) and isinstance(it.ctx, ast.Store) for it in _nodes(body))
            if stores:
                self._analysis.writers[f"`{text}` at {self.place(inner)}"] = None
            end = At(wrote=stores)
            raised = Raised(end, None, Kind.FAILED, self.place(inner), f"the end of `{text}` fails")
            return paths, Context(leave=frozenset({end}), raises_out=frozenset({raised}))
        return paths, self._object(self._resolver.value(inner, self._scope), paths)

    def _object(self, symbol: Symbol | None, paths: set[At]) -> Context:
        """A context manager that is a class."""
        if not isinstance(symbol, Instance) or not isinstance(symbol.of, Class):
            return Context()
        for name in ("__exit__", "__aexit__"):
            method = self._resolver.member(symbol, name)
            if isinstance(method, Function):
                effect = self._analysis.effect(method, wrote=any(at.wrote for at in paths), level=self._level + 1)
                if effect is not None:
                    return Context(leave=effect.ends, fail=effect.ends, raises_out=effect.raises)
        return Context()


def _nodes(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    return (node for statement in body for node in ast.walk(statement))


def _named_reader(vocabulary: Vocabulary, text: str, symbol: Symbol) -> bool:
    """Configured names win over what code says."""
    own = vocabulary.own
    names = (text, qualified(symbol) or text)
    return any(name == it or name.endswith(f".{it}") for it in (*own.readers, *own.writers) for name in names)
