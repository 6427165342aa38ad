"""Statements -> the paths through them. Sets of small states, so that loops and branches stay cheap.

An abstract interpreter over one function's body: each statement takes the set of states in which it can be reached and
gives the set in which what follows it can be reached; other ways out gather in the current `Frame`. What a call does is
the business of `lychgate.coverage.calls`, which subclasses this.

What may raise: what raises by itself always counts; before anything was changed, an unknown call that raises does not
(nothing happened, and the framework refuses a malformed request in the same way); from the first change on it does.
"""

import ast
import builtins
from collections.abc import Callable, Sequence

from lychgate.coverage.model import Place
from lychgate.coverage.paths import At, Context, Emitted, Frame, Kind, Raised, Returned, after
from lychgate.coverage.stacks import is_exit_stack, unrolled

_EVERYTHING = {"Exception", "BaseException"}
_OF_THE_EMITTER = {"SpoolUnavailable", "AuditError"}
"""What an emitter raises, and nothing else does."""


class Flow:
    """Walks one function.

    Args:
        file: The file, as shown.
        method: The HTTP method that `request.method` is taken to be; none where both branches are walked.
    """

    def __init__(self, file: str, method: str | None) -> None:
        self.file = file
        self.method = method
        self.frame = Frame()
        self._caught: list[tuple[str | None, frozenset[Raised]]] = []

    # what `calls` says

    def evaluate(self, node: ast.expr | None, paths: set[At]) -> set[At]:
        """The paths after an expression."""
        raise AssertionError(node, paths)

    def context(self, node: ast.expr, body: Sequence[ast.stmt], paths: set[At]) -> tuple[set[At], Context]:
        """The paths after a context manager is made, and what it does around a block."""
        raise AssertionError(node, body, paths)

    def writes_to(self, target: ast.expr, paths: set[At]) -> set[At]:
        """The paths after something was assigned to."""
        raise AssertionError(target, paths)

    # what statements do

    def place(self, node: ast.AST) -> Place:
        """Where a node stands."""
        return Place(self.file, getattr(node, "lineno", 0))

    def block(self, body: Sequence[ast.stmt], paths: set[At]) -> set[At]:
        """The paths after a block; none where it never ends normally."""
        for statement in body:
            if not paths:
                break
            paths = self.statement(statement, paths)
        return paths

    def statement(self, node: ast.stmt, paths: set[At]) -> set[At]:  # noqa: PLR0911, PLR0912, C901 - the language's statements
        """The paths after a statement."""
        match node:
            case ast.Expr(value=value):
                return self.evaluate(value, paths)
            case ast.Return(value=value):
                paths = self.evaluate(value, paths)
                self.frame.returns |= {Returned(at, self.place(node), "returns") for at in paths}
                return set()
            case ast.Raise():
                return self._raise(node, paths)
            case ast.If():
                return self._if(node, paths)
            case ast.Try() | ast.TryStar():
                return self._try(node, paths)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                return self._with(items, body, paths)
            case ast.For() | ast.AsyncFor():
                return self._for(node, paths)
            case ast.While():
                return self._while(node, paths)
            case ast.Match():
                return self._match(node, paths)
            case ast.Break():
                self.frame.breaks |= paths
                return set()
            case ast.Continue():
                self.frame.continues |= paths
                return set()
            case ast.Assign(targets=targets, value=value):
                paths = self.evaluate(value, paths)
                for target in targets:
                    paths = self.writes_to(target, paths)
                return paths
            case ast.AnnAssign(target=target, value=value) | ast.AugAssign(target=target, value=value):
                paths = self.evaluate(value, paths)
                return self.writes_to(target, paths) if value is not None else paths
            case ast.Delete(targets=targets):
                for target in targets:
                    paths = self.writes_to(target, paths)
                return paths
            case ast.Assert(test=test):
                return paths | self.evaluate(test, paths)  # `python -O` leaves assertions out
            case _:
                pass
        return paths  # definitions, imports, pass: nothing runs that could emit

    def _raise(self, node: ast.Raise, paths: set[At]) -> set[At]:
        paths = self.evaluate(node.exc, paths)
        name = self._caught[-1][0] if self._caught else None
        again = node.exc is None or (isinstance(node.exc, ast.Name) and node.exc.id == name and name is not None)
        if again and self._caught:
            caught = self._caught[-1][1]
            for at in paths:
                alike = [it for it in caught if it.at.wrote == at.wrote] or list(caught)
                self.frame.raises |= {it._replace(at=at) for it in alike}
            return set()
        exc = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        word = exc.attr if isinstance(exc, ast.Attribute) else getattr(exc, "id", None)
        self.frame.raises |= {
            Raised(at, word, Kind.RAISED, self.place(node), f"raises {word or 'an exception'}") for at in paths
        }
        return set()

    def _if(self, node: ast.If, paths: set[At]) -> set[At]:
        paths = self.evaluate(node.test, paths)
        known = self.truth(node.test)
        found: set[At] = set()
        if known is not False:
            found |= self.block(node.body, paths)
        if known is not True:
            found |= self.block(node.orelse, paths)
        return found

    def _inside(self, run: Callable[[], set[At]]) -> tuple[set[At], Frame]:
        """Run something with a frame of its own."""
        outer, self.frame = self.frame, Frame()
        try:
            return run(), self.frame
        finally:
            self.frame = outer

    def _try(self, node: ast.Try | ast.TryStar, paths: set[At]) -> set[At]:
        if node.finalbody:
            found, inner = self._inside(lambda: self._guarded(node, paths))
            return self._finally(node.finalbody, found, inner)
        return self._guarded(node, paths)

    def _guarded(self, node: ast.Try | ast.TryStar, paths: set[At]) -> set[At]:
        found, inner = self._inside(lambda: self.block(node.body, paths))
        pending = inner.raises
        if node.handlers and _may_raise(node.body):
            pending = pending | {Raised(at, None, Kind.SILENT, self.place(node), "fails") for at in paths}
        inner.raises = set()
        self.frame.take(inner)
        done: set[At] = set()
        for handler in node.handlers:
            caught = {it for it in pending if _catches(handler.type, it.exc, it.kind) is not False}
            pending = {it for it in pending if _catches(handler.type, it.exc, it.kind) is not True}
            if caught:
                self._caught.append((handler.name, frozenset(caught)))
                done |= self.block(handler.body, {it.at for it in caught})
                self._caught.pop()
        self.frame.raises |= pending
        return done | self.block(node.orelse, found)

    def _finally(self, body: Sequence[ast.stmt], paths: set[At], inner: Frame) -> set[At]:
        """The last block is run on every way out."""

        def ends(at: At) -> set[At]:
            return self.block(body, {at})

        for returned in inner.returns:
            self.frame.returns |= {returned._replace(at=at) for at in ends(returned.at)}
        for raised in inner.raises:
            self.frame.raises |= {raised._replace(at=at) for at in ends(raised.at)}
        for at in inner.breaks:
            self.frame.breaks |= ends(at)
        for at in inner.continues:
            self.frame.continues |= ends(at)
        return self.block(body, paths)

    def _with(self, items: Sequence[ast.withitem], body: Sequence[ast.stmt], paths: set[At]) -> set[At]:
        if not items:
            return self.block(body, paths)
        item, *others = items
        if not others and is_exit_stack(item):
            body = unrolled(item, body)
        paths, context = self.context(item.context_expr, body, paths)
        return self.around(context, paths, lambda entered: self._with(others, body, entered))

    def around(self, context: Context, paths: set[At], run: Callable[[set[At]], set[At]]) -> set[At]:
        """Something run within a context."""
        for raised in context.raises_in:
            self.frame.raises |= {raised._replace(at=at.then(raised.at)) for at in paths}
        entered = after(paths, context.enter)
        found, inner = self._inside(lambda: run(entered))
        self.frame.returns |= {it._replace(at=at) for it in inner.returns for at in after({it.at}, context.leave)}
        self.frame.breaks |= after(inner.breaks, context.leave)
        self.frame.continues |= after(inner.continues, context.leave)
        self.frame.raises |= {it._replace(at=at) for it in inner.raises for at in after({it.at}, context.fail)}
        done = {*found, *inner.breaks, *inner.continues, *(it.at for it in inner.returns)}
        for raised in context.raises_out:
            self.frame.raises |= {raised._replace(at=at.then(raised.at)) for at in done}
        failed = {it.at for it in inner.raises} | (entered if context.swallow else set())
        return after(found, context.leave) | after(failed, context.swallow)

    def _for(self, node: ast.For | ast.AsyncFor, paths: set[At]) -> set[At]:
        paths = self.evaluate(node.iter, paths)
        certain = isinstance(node.iter, ast.List | ast.Tuple) and any(
            not isinstance(it, ast.Starred)
            for it in node.iter.elts  # `[*ids]` may be empty
        )
        ended, broken = self._looped(node.body, paths)
        after_loop = ended if certain else paths | ended
        return self.block(node.orelse, after_loop) | broken

    def _while(self, node: ast.While, paths: set[At]) -> set[At]:
        paths = self.evaluate(node.test, paths)
        endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        ended, broken = self._looped(node.body, paths)
        return broken if endless else self.block(node.orelse, paths | ended) | broken

    def _looped(self, body: Sequence[ast.stmt], paths: set[At]) -> tuple[set[At], set[At]]:
        """The paths after a body that was run at least once, and after one that was left by `break`."""
        entry, ended, broken = set(paths), set[At](), set[At]()
        while True:  # until nothing new comes round: there are few states
            start = set(entry)
            found, inner = self._inside(lambda start=start: self.block(body, start))  # type: ignore[misc]  # bound now
            ended |= found | inner.continues
            broken |= inner.breaks
            inner.breaks, inner.continues = set(), set()
            self.frame.take(inner)
            if ended <= entry:
                return ended, broken
            entry |= ended

    def _match(self, node: ast.Match, paths: set[At]) -> set[At]:
        paths = self.evaluate(node.subject, paths)
        about_method = self.method is not None and _is_method(node.subject)
        done: set[At] = set()
        for case in node.cases:
            fits = _fits(case.pattern, self.method) if about_method else None
            if fits is False:
                continue
            entered = self.evaluate(case.guard, paths) if case.guard else paths
            done |= self.block(case.body, entered)
            if case.guard is None and (fits is True or _irrefutable(case.pattern)):
                return done
        return done | paths

    def truth(self, test: ast.expr) -> bool | None:  # noqa: PLR0911 - a table
        """What a condition is, where that is known."""
        match test:
            case ast.Constant(value=value):
                return bool(value)
            case ast.Name(id="TYPE_CHECKING"):
                return False
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                known = self.truth(inner)
                return None if known is None else not known
            case ast.BoolOp(op=op, values=values):
                parts = [self.truth(value) for value in values]
                decisive = isinstance(op, ast.Or)
                if decisive in parts:
                    return decisive
                return None if None in parts else not decisive
            case ast.Compare(left=left, ops=[op], comparators=[right]) if self.method is not None:
                return _compared(left, op, right, self.method)
        return None


def _may_raise(body: Sequence[ast.stmt]) -> bool:
    """Whether something other than a call may raise: an index, an operator, an attribute that is read."""
    called = {id(node.func) for statement in body for node in ast.walk(statement) if isinstance(node, ast.Call)}
    raising = ast.Subscript | ast.BinOp | ast.Compare | ast.For | ast.Import | ast.ImportFrom | ast.Assert | ast.Delete
    return any(
        isinstance(node, raising) or (isinstance(node, ast.Attribute) and id(node) not in called)
        for statement in body
        for node in ast.walk(statement)
    )


def _compared(left: ast.expr, op: ast.cmpop, right: ast.expr, method: str) -> bool | None:
    """What `request.method == "POST"` is."""
    if isinstance(left, ast.Constant) and _is_method(right):
        left, right = right, left
    if not _is_method(left):
        return None
    match op, right:
        case ((ast.Eq() | ast.NotEq()), ast.Constant(value=str(text))):
            return (text.upper() == method) is isinstance(op, ast.Eq)
        case ((ast.In() | ast.NotIn()), (ast.Tuple() | ast.List() | ast.Set())):
            listed = [it.value for it in right.elts if isinstance(it, ast.Constant)]
            if len(listed) == len(right.elts):
                return (method in listed) is isinstance(op, ast.In)
        case _:
            pass
    return None


def _is_method(node: ast.expr) -> bool:
    """`request.method`, `self.request.method`."""
    return isinstance(node, ast.Attribute) and node.attr == "method" and "req" in ast.unparse(node.value)


def mentioned_methods(body: Sequence[ast.stmt]) -> set[str]:
    """The methods that a body compares `request.method` with."""
    found: set[str] = set()
    for node in (inner for statement in body for inner in ast.walk(statement)):
        parts: list[ast.AST] = []
        if isinstance(node, ast.Compare) and any(_is_method(it) for it in (node.left, *node.comparators)):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Match) and _is_method(node.subject):
            parts = [case.pattern for case in node.cases]
        for part in (inner for node in parts for inner in ast.walk(node)):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                found.add(part.value.upper())
    return found


def _fits(pattern: ast.pattern, method: str | None) -> bool | None:
    match pattern:
        case ast.MatchValue(value=ast.Constant(value=str(text))):
            return text.upper() == method
        case ast.MatchOr(patterns=patterns):
            parts = [_fits(part, method) for part in patterns]
            return True if True in parts else None if None in parts else False
        case _:
            pass
    return None


def _irrefutable(pattern: ast.pattern) -> bool:
    match pattern:
        case ast.MatchAs(pattern=None):
            return True
        case ast.MatchAs(pattern=ast.pattern() as inner):
            return _irrefutable(inner)
        case ast.MatchOr(patterns=patterns):
            return any(_irrefutable(part) for part in patterns)
        case _:
            pass
    return False


def _catches(node: ast.expr | None, exc: str | None, kind: Kind) -> bool | None:  # noqa: PLR0911 - a table
    """Whether `except node` catches an exception of that name; none where it may or may not."""
    if node is None:
        return True
    if isinstance(node, ast.Tuple):
        parts = [_catches(part, exc, kind) for part in node.elts]
        return True if True in parts else None if None in parts else False
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)
    if name in _EVERYTHING or name == exc:
        return True if name is not None else None
    if kind is Kind.UNRECORDED or name in _OF_THE_EMITTER:
        return kind is Kind.UNRECORDED and name in _OF_THE_EMITTER
    if exc is None or name is None:
        return None
    ours, theirs = getattr(builtins, name, None), getattr(builtins, exc, None)
    if isinstance(ours, type) and isinstance(theirs, type):
        return issubclass(theirs, ours)
    return None


def failed(paths: set[At], place: Place, what: str, kind: Kind, exc: str | None = None) -> set[Raised]:
    """An exception on each path; once something was changed it is one that counts."""
    return {Raised(at, exc, Kind.FAILED if at.wrote and kind is Kind.SILENT else kind, place, what) for at in paths}


def unrecorded(paths: set[At], place: Place, what: str) -> set[Raised]:
    """The emitter's own exception on each path."""
    return {
        Raised(at._replace(emitted=at.emitted or Emitted.REFUSED), None, Kind.UNRECORDED, place, what) for at in paths
    }
