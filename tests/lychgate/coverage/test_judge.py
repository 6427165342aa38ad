"""The verdict: what changes something, what is ignored, what is unknown."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from lychgate.coverage.model import State, tally
from lychgate.coverage.settings import ServiceCoverage
from tests.builders.scanned import FASTAPI, handler, scanned


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ('@app.post("/x")\ndef f():\n    return 1', State.UNCOVERED),
        ('@app.get("/x")\ndef f():\n    return 1', State.READING),
        ('@app.get("/x")\ndef delete_x():\n    return 1', State.UNCOVERED),
        ('@app.get("/x")\ndef f(db):\n    db.commit()', State.UNCOVERED),
        ('async def w(db): db.commit()\n@app.get("/x")\ndef f(db):\n    loop.run(w(db))', State.UNCOVERED),
        ('async def w(db): return 1\n@app.get("/x")\ndef f(db):\n    loop.run(w(db))', State.READING),
        ('@app.head("/x")\ndef f():\n    return 1', State.READING),
        ('@app.api_route("/x", methods=METHODS)\ndef f():\n    return 1', State.UNCOVERED),
        ('@app.api_route("/x", methods=wanted())\ndef f():\n    return 1', State.UNCOVERED),
        ('METHODS = ("GET",)\n@app.api_route("/x", methods=METHODS)\ndef f():\n    return 1', State.READING),
        ('@app.post("/x")\n@context_rule(reads=True)\ndef f():\n    return 1', State.READING),
        ('@app.post("/x")\n@context_rule(reads=False)\ndef f():\n    return 1', State.UNCOVERED),
        ('@app.post("/x")\n@context_rule(reads=True)\ndef f(db):\n    db.commit()', State.UNCOVERED),
        ('app.add_api_route("/x", later, methods=["POST"])', State.UNKNOWN),
        ('app.add_api_route("/x", later, methods=["GET"])', State.READING),
        ('app.add_api_route("/x", later, methods=wanted())', State.UNKNOWN),
    ],
)
def test_what_changes_something(tmp_path: Path, code: str, state: State) -> None:
    """By method, by name, by what it calls; what cannot be read counts as changing."""
    assert handler(tmp_path, code).state is state


@pytest.mark.parametrize(
    ("statement", "writes"),
    [
        ('db.execute("SELECT 1")', False),
        ('db.execute("  insert into x values (1)")', True),
        ('db.execute(f"DELETE FROM {name}")', True),
        ('db.execute("-- tidy\\nUPDATE x SET y = 1")', True),
        ('db.execute("WITH a AS (SELECT 1) SELECT 1")', False),
        ('db.execute("WITH a AS (DELETE FROM x RETURNING 1) SELECT 1")', True),
        ("db.execute(sql)", True),
        ("db.fetch(sql)", False),
        ("db.execute(select(X).where(X.id == 1))", False),
        ("db.execute(insert(X).values(1))", True),
        ("db.execute(table.update().values(1))", True),
        ("db.session.add(x)", True),
        ("seen = set(); seen.add(1)", False),
        ("found = {}; found.update(a=1)", False),
        ("cache.delete('x')", False),
        ("requests.post('http://x')", False),
        ("x.save()", True),
        ("x.objects.filter(a=1).update(b=2)", True),
        ("hashlib.sha256().update(b'x')", False),
        ("service.update_stock(1)", True),
        ("response.set_cookie('a', 'b')", False),
        ("STATE['x'] = 1", True),
        ("del STATE['x']", True),
        ("STATE['x'] += 1", True),
        ("STATE = {}; STATE['x'] = 1", False),
        ("open('x').write('y')", False),
        ("Path('x').write_text('y')", True),
    ],
)
def test_what_writes(tmp_path: Path, statement: str, writes: bool) -> None:
    """Of a GET, only what it calls can say."""
    code = f"STATE = {{}}\n@app.get('/x')\ndef f(db, x, sql, name, service, cache, response):\n    {statement}\n"
    imports = "import hashlib, requests\nfrom pathlib import Path\nfrom sqlalchemy import insert, select\n"
    assert (handler(tmp_path, imports + code).state is State.UNCOVERED) is writes


@pytest.mark.parametrize(
    ("code", "state", "codes"),
    [
        ('@app.post("/x")  # audit:ignore a probe\ndef f(): pass', State.IGNORED, []),
        ('# audit:ignore a probe\n@app.post("/x")\ndef f(): pass', State.IGNORED, []),
        ('@app.post("/x")\ndef f():  # audit:ignore a probe\n    pass', State.IGNORED, []),
        ('@app.post("/x")\ndef f(): pass  # audit:ignore', State.UNCOVERED, ["ignore-without-reason", "no-event"]),
        ('@app.post("/x")\ndef f():\n    x = 1  # audit:ignore a probe\n    y = 1', State.UNCOVERED, ["no-event"]),
        ('@app.post("/x")  # audit:ignore ***\ndef f(): pass', State.UNCOVERED, ["ignore-without-reason", "no-event"]),
        (
            '@app.post("/p")\ndef p(): pass  # audit:ignore a probe\n@app.post("/x")\ndef f(): pass',
            State.UNCOVERED,
            ["no-event"],
        ),
        ('@app.get("/x")\ndef f(): pass  # audit:ignore a probe', State.READING, ["ignore-unneeded"]),
        ('app.add_api_route("/x", later, methods=["PUT"])  # audit:ignore old', State.IGNORED, []),
    ],
)
def test_a_person_may_say_why_not(tmp_path: Path, code: str, state: State, codes: list[str]) -> None:
    """At the handler, with a reason; without one it is not heeded; where it is not needed it is said."""
    found = handler(tmp_path, code)
    assert found.state is state
    assert [it.code for it in found.findings] == codes


def test_a_covered_handler_whose_ignore_has_no_reason_is_uncovered(tmp_path: Path) -> None:
    """An empty excuse is a finding wherever it stands."""
    body = '@app.post("/x")  # audit:ignore\ndef f():\n    with audit.recording("a.b.c", **WHO):\n        pass'
    found = handler(tmp_path, body)
    assert (found.state, [it.code for it in found.findings]) == (State.UNCOVERED, ["ignore-without-reason"])


def test_the_ignored_are_not_in_the_ratio(tmp_path: Path) -> None:
    """One covered, one ignored: all of one."""
    code = """
@app.post("/a")
def a():
    with audit.recording("a.b.c", **WHO):
        pass
@app.post("/b")  # audit:ignore a probe
def b():
    pass
"""
    (service,) = scanned(tmp_path, shop=FASTAPI + code).services
    assert (tally(service).ratio, tally(service).ignored) == (1.0, 1)


def test_a_service_without_handlers_is_a_finding(tmp_path: Path) -> None:
    """The wrong folder must not be 100 %."""
    report = scanned(tmp_path, shop="x = 1\n")
    assert [it.code for it in report.findings] == ["no-handlers"]
    assert report.total.ratio == 0.0


def test_a_service_adds_words_of_its_own(tmp_path: Path) -> None:
    """Emitters, writers, readers and verbs."""
    emits = '@app.post("/x")\ndef f():\n    trail.note("x")\n'
    assert handler(tmp_path / "1", emits).state is State.UNCOVERED
    assert handler(tmp_path / "2", emits, ServiceCoverage(emitters=("trail.note",))).state is State.COVERED
    writes = '@app.get("/x")\ndef f():\n    ledger.shift(1)\n'
    assert handler(tmp_path / "3", writes).state is State.READING
    assert handler(tmp_path / "4", writes, ServiceCoverage(writers=("*.shift",))).state is State.UNCOVERED
    reads = '@app.get("/x")\ndef f():\n    ledger.update_view(1)\n'
    assert handler(tmp_path / "5", reads).state is State.UNCOVERED
    assert handler(tmp_path / "6", reads, ServiceCoverage(readers=("ledger.update_view",))).state is State.READING
    verb = '@app.get("/x")\ndef nudge_it():\n    return 1\n'
    assert handler(tmp_path / "7", verb).state is State.READING
    assert handler(tmp_path / "8", verb, ServiceCoverage(verbs=("nudge",))).state is State.UNCOVERED


@pytest.mark.parametrize(
    "emit", ["socketio.emit('x')", "signal.emit('x')", "log.emit('x')", "emit('x')", "audit.info('x')"]
)
def test_not_every_emit_is_ours(tmp_path: Path, emit: str) -> None:
    """Another thing's method of the same name records nothing."""
    assert (
        handler(tmp_path, f"@app.post('/x')\ndef f(socketio, signal, log, emit):\n    {emit}\n").state
        is State.UNCOVERED
    )


@pytest.mark.parametrize(
    "chosen",
    [
        "if app.debug:\n    audit = Quiet()\nelse:\n    audit = AuditProducer(None)\n",
        "audit = AuditProducer(None) if app.debug else Quiet()\n",
        "audit = AuditProducer(None)\nif app.debug:\n    audit = Quiet()\n",
        "audit = Quiet() or AuditProducer(None)\n",
        "audit: AuditProducer = AuditProducer(None) if app.debug else Quiet()\n",
    ],
)
def test_an_emitter_that_may_be_one_of_two_is_believed_in_neither_order(tmp_path: Path, chosen: str) -> None:
    """Where one of them is the service's own and emits nothing."""
    quiet = "class Quiet:\n    def emit(self, *a, **k): pass\n"
    body = f'{quiet}{chosen}@app.post("/x")\ndef f(db):\n    audit.emit("a.b.c", **WHO)\n    db.commit()\n'
    assert handler(tmp_path, body).state is State.UNCOVERED


def test_two_functions_of_one_name_are_two_handlers(tmp_path: Path) -> None:
    """The second is not hidden behind the first, and counts."""
    code = """
@app.post("/a")
def f():
    with audit.recording("a.b.c", **WHO):
        pass
@app.post("/b")
def f(db):
    db.commit()
"""
    found = scanned(tmp_path, shop=FASTAPI + code).handlers
    assert [(it.state, str(it.routes[0])) for it in found] == [
        (State.COVERED, "POST /a"),
        (State.UNCOVERED, "POST /b"),
    ]


def test_what_is_called_like_a_test_and_runs_is_looked_at(tmp_path: Path) -> None:
    """A file that the service imports is a part of it, whatever it is called; one that it excludes is not."""
    files = {
        "app": "from fastapi import FastAPI\nfrom test_pay import router\napp = FastAPI()\n",
        "test_pay": (
            "from fastapi import APIRouter\nrouter = APIRouter()\n@router.post('/x')\ndef f(db):\n    db.commit()\n"
        ),
        "test_app": "import app\n",
    }
    (found,) = scanned(tmp_path, **files).handlers
    assert (found.name, found.state) == ("test_pay.f", State.UNCOVERED)
    (service,) = scanned(tmp_path, ServiceCoverage(exclude=("app.py", "test_pay.py"))).services
    assert (service.handlers, service.excluded) == ((), 1)


@pytest.mark.parametrize("name", ["*", "*.*", "shop.*", "??", "[_]"])
def test_not_every_call_can_be_named_an_emitter(name: str) -> None:
    """A service's own file must not be able to cover everything by one star."""
    with pytest.raises(ValidationError, match="every call there is"):
        ServiceCoverage(emitters=(name,))


def test_a_wrapper_that_does_nothing_is_followed(tmp_path: Path) -> None:
    """A class of the service named for the audit counts for what it does."""
    code = "class Audit:\n    def emit(self, name):\n        pass\n\nown_audit = Audit()\n"
    assert handler(tmp_path, code + "@app.post('/x')\ndef f():\n    own_audit.emit('x')\n").state is State.UNCOVERED


def test_functions_that_call_each_other_end(tmp_path: Path) -> None:
    """Recursion, also of types and modules, does not hold the scanner up."""
    code = """
    from shop import app as app2
    def a(n): return b(n)
    def b(n): return a(n)
    x = y = lambda: x
    y = x
    class A(A): pass
    @app.post("/x")
    def f(v: "A"):
        a(1); v.z.z; x(); y()
    """
    assert handler(tmp_path, code).state is State.UNCOVERED


def test_without_a_known_writer_any_unknown_call_may_be_it(tmp_path: Path) -> None:
    """A POST changes something; if nobody knows where, what fails before the event may be the change."""
    body = '@app.post("/x")\ndef f(pipeline, order):\n    pipeline.{}(order)\n    audit.emit("a.b.c", **WHO)\n'
    found = handler(tmp_path / "1", body.format("process"))
    assert [it.reason for it in found.findings] == ["nothing is emitted when `pipeline.process` fails at line 10"]
    assert handler(tmp_path / "2", body.format("get_all")).state is State.COVERED


@pytest.mark.parametrize(
    ("block", "state"),
    [
        ("await session.scalar(select(Order))", State.READING),
        ("order = await session.get(Order, 1)", State.READING),
        ("order = await session.get(Order, 1); order.seen = True", State.UNCOVERED),
        ("session.add(Order())", State.UNCOVERED),
    ],
)
def test_a_transaction_changes_what_is_changed_in_it(tmp_path: Path, block: str, state: State) -> None:
    """Its end commits what was added, and attributes that were set; where it only read it changes nothing."""
    body = f"""
    @app.get("/orders")
    async def orders(session):
        async with session.begin():
            {block}
        return {{}}
    """
    found = handler(tmp_path, body)
    assert (found.state, bool(found.changes)) == (state, state is State.UNCOVERED)


@pytest.mark.parametrize("annotation", ["object", "Any", "Annotated[Any, Depends(opened)]", "Session"])
def test_a_type_that_says_nothing_makes_nothing_harmless(tmp_path: Path, annotation: str) -> None:
    """A commit on a parameter that may be anything is one."""
    body = f"""
    from typing import Annotated, Any
    from fastapi import Depends

    @app.get("/orders")
    async def orders(session: {annotation}):
        await session.commit()
    """
    assert handler(tmp_path, body).state is State.UNCOVERED
