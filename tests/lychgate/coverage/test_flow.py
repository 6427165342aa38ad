"""Paths through a handler: which have an event and which have not."""

from pathlib import Path

import pytest

from lychgate.coverage.model import Handler, State
from tests.builders.scanned import handler

COVERED = {
    "with": "with audit.recording('a.b.c', **WHO):\n    db.commit()",
    "return in with": "with audit.recording('a.b.c', **WHO):\n    return db.commit()",
    "two items": "with open('x'), audit.recording('a.b.c', **WHO):\n    db.commit()",
    "emit first": "audit.emit('a.b.c', **WHO)\ndb.commit()",
    "finally": "try:\n    db.commit()\nfinally:\n    audit.emit('a.b.c', **WHO)",
    "finally with return": "try:\n    return db.commit()\nfinally:\n    audit.emit('a.b.c', **WHO)",
    "except and else": (
        "try:\n    db.commit()\nexcept BaseException:\n    audit.emit('a.b.c', **WHO)\n    raise\n"
        "else:\n    audit.emit('a.b.c', **WHO)"
    ),
    "bare except": (
        "try:\n    db.commit()\nexcept:\n    audit.emit('a.b.c', **WHO)\n    raise\naudit.emit('a.b.c', **WHO)"
    ),
    "both branches": "if q:\n    audit.emit('a.b.c', **WHO)\nelse:\n    audit.emit('a.b.d', **WHO)",
    "constant": "if True:\n    audit.emit('a.b.c', **WHO)",
    "exit stack": (
        "with ExitStack() as stack:\n    stack.enter_context(audit.recording('a.b.c', **WHO))\n    db.commit()"
    ),
    "exit stack with a name": (
        "with ExitStack() as s:\n    it = s.enter_context(audit.recording('a.b.c', **WHO))\n    return db.commit()"
    ),
    "a list with something in it": "for _ in [1, *q]:\n    audit.emit('a.b.c', **WHO)",
    "listed loop": "for _ in (1, 2):\n    audit.emit('a.b.c', **WHO)",
    "endless loop": "while True:\n    audit.emit('a.b.c', **WHO)\n    break",
    "loop's else": "for _ in q:\n    pass\nelse:\n    audit.emit('a.b.c', **WHO)",
    "raise after": "audit.emit('a.b.c', **WHO)\nraise HTTPException(409)",
    "raise inside": "with audit.recording('a.b.c', **WHO):\n    raise HTTPException(409)",
    "caught by its name": (
        "try:\n    raise ValueError\nexcept ValueError:\n    audit.emit('a.b.c', **WHO)\n    return 1"
    ),
    "caught by its base": (
        "try:\n    raise KeyError\nexcept LookupError:\n    audit.emit('a.b.c', **WHO)\n    return 1"
    ),
    "swallowed, then emitted": "try:\n    db.commit()\nexcept Exception:\n    pass\naudit.emit('a.b.c', **WHO)",
    "match": (
        "match q:\n    case 1:\n        audit.emit('a.b.c', **WHO)\n    case other:\n        audit.emit('a.b.d', **WHO)"
    ),
    "walrus": "if (x := audit.emit('a.b.c', **WHO)):\n    return x",
    "in an argument": "return dict(id=audit.emit('a.b.c', **WHO))",
    "refused by the emitter alone": (
        "try:\n    audit.emit('a.b.c', durable=True, **get_who(q))\n"
        "except SpoolUnavailable:\n    raise HTTPException(503)"
    ),
    "refused by the emitter": (
        "try:\n    audit.emit('a.b.c', durable=True, **WHO)\nexcept SpoolUnavailable:\n    raise HTTPException(503)\n"
        "db.commit()"
    ),
}
UNCOVERED = {
    "assertion": ("assert audit.emit('a.b.c', **WHO)", "before anything is emitted"),
    "a list that may be empty": ("for _ in [*q]:\n    audit.emit('a.b.c', **WHO)", "before anything is emitted"),
    "gather that swallows": (
        "await asyncio.gather(audit.emit_durable('a.b.c', **WHO), return_exceptions=True)",
        "before anything is emitted",
    ),
    "exit stack, entered perhaps": (
        "with ExitStack() as s:\n    if q:\n        s.enter_context(audit.recording('a.b.c', **WHO))\n    db.commit()",
        "is not entered by `with`",
    ),
    "exit stack, entered too late": (
        "with ExitStack() as s:\n    db.commit()\n    s.enter_context(audit.recording('a.b.c', **WHO))",
        "nothing is emitted when `db.commit` fails",
    ),
    "exit stack, not awaited": (
        "with AsyncExitStack() as s:\n    s.enter_async_context(audit.recording('a.b.c', **WHO))\n    db.commit()",
        "is not entered by `with`",
    ),
    "exit stack, of another": (
        "with ExitStack() as s:\n    other.enter_context(audit.recording('a.b.c', **WHO))\n    db.commit()",
        "is not entered by `with`",
    ),
    "none": ("db.commit()", "nothing is emitted on any path"),
    "early return": ("if q:\n    return 1\naudit.emit('a.b.c', **WHO)", "returns at line 11 before"),
    "early raise": (
        "if q:\n    raise HTTPException(404)\naudit.emit('a.b.c', **WHO)",
        "raises HTTPException at line 11",
    ),
    "failing write": (
        "db.commit()\naudit.emit('a.b.c', **WHO)",
        "nothing is emitted when `db.commit` fails at line 10",
    ),
    "one branch": ("if q:\n    audit.emit('a.b.c', **WHO)", "ends at line 11 before"),
    "empty loop": ("for _ in q:\n    audit.emit('a.b.c', **WHO)", "ends at"),
    "while": ("while q:\n    audit.emit('a.b.c', **WHO)", "ends at"),
    "broken loop": ("while True:\n    if q:\n        break\n    audit.emit('a.b.c', **WHO)", "ends at"),
    "loop's else skipped": ("for _ in q:\n    break\nelse:\n    audit.emit('a.b.c', **WHO)", "ends at"),
    "continue": ("for _ in (1,):\n    if q:\n        continue\n    audit.emit('a.b.c', **WHO)", "ends at"),
    "match": ("match q:\n    case 1:\n        audit.emit('a.b.c', **WHO)", "ends at"),
    "guard": ("match q:\n    case _ if q > 1:\n        audit.emit('a.b.c', **WHO)", "ends at"),
    "swallowed": ("try:\n    db.commit()\n    audit.emit('a.b.c', **WHO)\nexcept Exception:\n    pass", "ends at"),
    "narrow except": (
        (
            "try:\n    db.commit()\nexcept ValueError:\n    audit.emit('a.b.c', **WHO)\n    raise\n"
            "audit.emit('a.b.c', **WHO)"
        ),
        "`db.commit` fails",
    ),
    "other except": (
        "try:\n    raise KeyError\nexcept IndexError:\n    audit.emit('a.b.c', **WHO)\n    return 1",
        "nothing is emitted on any path",
    ),
    "after return": ("return 1\naudit.emit('a.b.c', **WHO)", "nothing is emitted"),
    "or": ("q or audit.emit('a.b.c', **WHO)", "ends at"),
    "conditional": ("audit.emit('a.b.c', **WHO) if q else None", "ends at"),
    "comprehension": ("[audit.emit('a.b.c', **WHO) for _ in q]", "ends at"),
    "lambda": ("f = lambda: audit.emit('a.b.c', **WHO)", "nothing is emitted"),
    "generator": ("f = (audit.emit('a.b.c', **WHO) for _ in q)", "nothing is emitted"),
    "context never entered": ("audit.recording('a.b.c', **WHO)", "is not entered by `with`"),
    "emitter's failure swallowed": (
        "try:\n    audit.emit('a.b.c', **WHO)\nexcept Exception:\n    pass\ndb.commit()",
        "the emitter has failed",
    ),
    "before the with": (
        "if q:\n    raise HTTPException(404)\nwith audit.recording('a.b.c', **WHO):\n    pass",
        "raises",
    ),
    "suppressed": ("with contextlib.suppress(Exception):\n    db.commit()\n    audit.emit('a.b.c', **WHO)", "ends at"),
    "transaction's end": ("with db.begin():\n    pass\naudit.emit('a.b.c', **WHO)", "the end of `db.begin` fails"),
}


def _handler(folder: Path, body: str) -> Handler:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return handler(folder, f'@app.post("/x")\ndef f(q, db):\n{lines}')


@pytest.mark.parametrize("name", COVERED)
def test_an_event_on_every_path(tmp_path: Path, name: str) -> None:
    """Whichever way such a handler ends, an event was emitted."""
    found = _handler(tmp_path, COVERED[name])
    assert found.state is State.COVERED, [it.reason for it in found.findings]


@pytest.mark.parametrize("name", UNCOVERED)
def test_a_path_without_an_event(tmp_path: Path, name: str) -> None:
    """The path is named, with its line."""
    body, reason = UNCOVERED[name]
    found = _handler(tmp_path, body)
    assert found.state is State.UNCOVERED
    assert reason in "\n".join(it.reason for it in found.findings)


@pytest.mark.parametrize(
    ("test", "covered"),
    [
        ("request.method == 'POST'", True),
        ("request.method != 'GET'", True),
        ("'POST' == request.method", True),
        ("request.method in ('POST', 'PUT')", True),
        ("request.method not in ['GET', 'HEAD']", True),
        ("not request.method == 'GET'", True),
        ("request.method == 'POST' or q", True),
        ("request.method == 'POST' and q", False),
        ("request.method == 'GET'", False),
        ("request.method in METHODS", False),
        ("answer.method == 'POST'", False),
    ],
)
def test_a_condition_on_the_method_is_decided(tmp_path: Path, test: str, covered: bool) -> None:
    """Of a handler that answers GET and POST, the branch of GET needs no event."""
    body = f"""
    @app.api_route("/x", methods=["GET", "POST"])
    def f(request, q):
        if {test}:
            audit.emit("a.b.c", **WHO)
            return 1
        return 2
    """
    assert (handler(tmp_path, body).state is State.COVERED) is covered


def test_an_event_once_emitted_is_not_undone(tmp_path: Path) -> None:
    """A second emitter that fails, in a function that swallows it, takes nothing back."""
    body = """
    def again():
        try:
            audit.emit("a.b.d", durable=True, **WHO)
        except Exception:
            return
    @app.post("/x")
    def f(db):
        audit.emit("a.b.c", **WHO)
        again()
    """
    assert handler(tmp_path, body).state is State.COVERED
    assert handler(tmp_path / "2", body.replace('audit.emit("a.b.c", **WHO)', "pass")).state is State.UNCOVERED
