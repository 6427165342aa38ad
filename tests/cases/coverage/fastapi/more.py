"""Contexts, decorators, dependencies, and calls that are followed."""

import asyncio
import threading
from contextlib import suppress
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi.concurrency import run_in_threadpool

from . import deps
from .deps import (
    LeakyTrail,
    Trail,
    admins_only,
    audited,
    audited_after,
    get_audit,
    half_trail,
    note,
    one,
    quiet_trail,
    recorded_request,
    recorded_success,
    timed,
    trail,
    two,
)
from .repository import OrderRepository, Service

api = APIRouter(tags=["more"])
WRITING = ["POST", "PUT"]
audit = get_audit()


# label: more.with_trail changes=yes covered=yes -- our own context manager around a recorder
@api.post("/trail")
def with_trail(repo: Annotated[OrderRepository, Depends()]):
    with trail("shop.thing.done"):
        repo.put(1)


# label: more.with_half changes=yes covered=no -- the context manager forgets failures
@api.post("/half")
async def with_half(repo: Annotated[OrderRepository, Depends()]):
    async with half_trail("shop.thing.done"):
        repo.put(1)


# label: more.with_quiet changes=yes covered=yes -- both ends, though the exception is swallowed
@api.post("/quiet")
async def with_quiet(repo: Annotated[OrderRepository, Depends()]):
    async with quiet_trail("shop.thing.done"):
        repo.put(1)


# label: more.with_class changes=yes covered=yes -- __exit__ emits always
@api.post("/class")
def with_class(repo: Annotated[OrderRepository, Depends()]):
    with Trail():
        repo.put(1)


# label: more.with_leaky changes=yes covered=no -- __exit__ emits only after success
@api.post("/leaky")
def with_leaky(repo: Annotated[OrderRepository, Depends()]):
    with LeakyTrail():
        repo.put(1)


# label: more.decorated changes=yes covered=yes -- our own decorator records
@api.post("/decorated")
@audited("shop.thing.done")
async def decorated(repo: Annotated[OrderRepository, Depends()]):
    repo.put(1)
    return {}


# label: more.decorated_half changes=yes covered=no -- our own decorator forgets failures
@api.post("/decorated-half")
@audited_after
def decorated_half(repo: Annotated[OrderRepository, Depends()]):
    repo.put(1)
    return {}


# label: more.decorated_timed changes=yes covered=no -- a decorator without an audit
@api.post("/decorated-timed")
@timed
def decorated_timed(repo: Annotated[OrderRepository, Depends()]):
    repo.put(1)


# label: more.stacked changes=yes covered=yes -- decorators stacked; who is refused never gets here
@api.post("/stacked")
@admins_only
@audited("shop.thing.done")
async def stacked(request, repo: Annotated[OrderRepository, Depends()]):
    repo.put(1)


# label: more.library_decorator changes=yes covered=yes -- the producer's own decorator
@api.post("/library")
@audit.recorded("shop.thing.done")
async def library_decorator(repo: Annotated[OrderRepository, Depends()]):
    repo.put(1)


# label: more.depends changes=yes covered=yes -- a dependency records both ends
@api.post("/depends")
def depends(repo: Annotated[OrderRepository, Depends()], _=Depends(recorded_request)):
    repo.put(1)


# label: more.depends_half changes=yes covered=no -- a dependency records success only
@api.post("/depends-half", dependencies=[Depends(recorded_success)])
def depends_half(repo: Annotated[OrderRepository, Depends()]):
    repo.put(1)


# label: more.two_levels changes=yes covered=yes -- the event is emitted two calls down
@api.post("/two")
def two_levels():
    deps.three("shop.thing.done")


# label: more.three_levels changes=yes covered=yes -- and three
@api.post("/three")
def three_levels():
    two("shop.thing.done")


# label: more.four_levels changes=yes covered=no -- four are too many to be followed
@api.post("/four")
def four_levels():
    one("shop.thing.done")


# label: more.writes_deep changes=yes covered=no -- a GET whose service writes three calls down
@api.get("/deep")
def writes_deep(service: Annotated[Service, Depends()]):
    service.accept({})


# label: more.reads_deep changes=no covered=no -- a GET whose service only reads, whatever its names say
@api.get("/look")
def reads_deep(service: Annotated[Service, Depends()]):
    return service.look("1")


# label: more.in_thread changes=yes covered=yes -- awaited until it is emitted
@api.post("/thread")
async def in_thread():
    await run_in_threadpool(audit.emit, "shop.thing.done", **deps.WHO)
    return {}


# label: more.fire_and_forget changes=yes covered=no -- a thread nobody waits for
@api.post("/forget")
def fire_and_forget():
    threading.Thread(target=audit.emit, args=("shop.thing.done",)).start()
    return {}


# label: more.nested_unused changes=yes covered=no -- defined, never called
@api.post("/nested")
def nested_unused(repo: Annotated[OrderRepository, Depends()]):
    def later():
        audit.emit("shop.thing.done", **deps.WHO)

    repo.put(1)


# label: more.nested_used changes=yes covered=yes -- defined and called at every end
@api.post("/nested-used")
def nested_used(repo: Annotated[OrderRepository, Depends()]):
    def now():
        audit.emit("shop.thing.done", **deps.WHO)

    try:
        repo.put(1)
    finally:
        now()


# label: more.gathered changes=yes covered=yes -- awaited together
@api.post("/gathered")
async def gathered():
    await asyncio.gather(audit.emit_durable("shop.thing.done", **deps.WHO), asyncio.sleep(0))


# label: more.task changes=yes covered=no -- a task that nobody awaits
@api.post("/task")
async def task():
    asyncio.create_task(audit.emit_durable("shop.thing.done", **deps.WHO))


# label: more.suppressed changes=yes covered=no -- what is suppressed is not recorded
@api.post("/suppressed")
def suppressed(repo: Annotated[OrderRepository, Depends()]):
    with suppress(Exception):
        repo.put(1)
        audit.emit("shop.thing.done", **deps.WHO)
    return {}


# label: more.refusal_returned changes=yes covered=no -- an early answer
@api.post("/refusal")
def refusal_returned(body: dict, repo: Annotated[OrderRepository, Depends()]):
    if not body:
        return Response(status_code=422)
    with audit.recording("shop.thing.done", **deps.WHO):
        repo.put(body)
    return {}


# label: more.refusal_recorded changes=yes covered=yes -- the early answer stands inside
@api.post("/refusal-recorded")
def refusal_recorded(body: dict, repo: Annotated[OrderRepository, Depends()]):
    with audit.recording("shop.thing.done", **deps.WHO):
        if not body:
            return Response(status_code=422)
        repo.put(body)
    return {}


# label: more.either_method changes=yes covered=yes -- methods from a constant
@api.api_route("/either", methods=WRITING)
def either_method(repo: Annotated[OrderRepository, Depends()]):
    with audit.recording("shop.thing.done", **deps.WHO):
        repo.put(1)


# label: more.retrying changes=yes covered=yes -- each round of an endless loop ends in an event
@api.post("/retrying")
def retrying(repo: Annotated[OrderRepository, Depends()]):
    while True:
        try:
            repo.put(1)
        except Exception:
            audit.emit("shop.thing.failed", **deps.WHO)
            continue
        audit.emit("shop.thing.done", **deps.WHO)
        return {}


# label: more.half_loop changes=yes covered=no -- the loop may end without a round
@api.post("/half-loop")
def half_loop(times: int, repo: Annotated[OrderRepository, Depends()]):
    while times:
        audit.emit("shop.thing.done", **deps.WHO)
        times -= 1
    return {}


def added(repo: Annotated[OrderRepository, Depends()]):
    repo.put(1)


def looked():
    return {}


# label: more.added changes=yes covered=no -- registered by a call
api.add_api_route("/added", added, methods=["POST"])
# label: more.looked changes=no covered=no -- registered by a call, GET
api.add_api_route("/looked", looked)


# label: @lambda changes=yes covered=no -- a lambda
api.add_api_route("/lambda", lambda: None, methods=["POST"])
# label: @partial changes=yes covered=no -- a partial
api.add_api_route("/partial", partial(added, 1), methods=["DELETE"])
# label: @made changes=yes covered=no -- made by a call
api.add_api_route("/made", getattr(deps, "note"), methods=["PUT"])
# label: @madeget changes=no covered=no -- made by a call, but it only answers GET
api.add_api_route("/made-get", getattr(deps, "note"), methods=["GET"])

app = FastAPI()
app.include_router(api, prefix="/more")
