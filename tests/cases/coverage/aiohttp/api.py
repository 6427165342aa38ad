"""aiohttp: route tables, routers, views."""

import asyncio

from aiohttp import web

from audit.event import Actor, Outcome
from audit.producer import AuditProducer

from .handlers import Accounts, delete_account, get_account

routes = web.RouteTableDef()
audit = AuditProducer(None, service="accounts")
WHO = {"tenant_id": "t", "actor": Actor(type="user", id="u"), "action": "account:write"}


# label: api.listed changes=no covered=no -- reads
@routes.get("/accounts")
async def listed(request):
    async with request.app["db"].acquire() as conn:
        rows = await conn.fetch("SELECT 1")
    return web.json_response([dict(row) for row in rows])


# label: api.opened changes=yes covered=yes -- recorded
@routes.post("/accounts")
async def opened(request):
    with audit.recording("account.account.opened", **WHO):
        data = await request.json()
        async with request.app["db"].acquire() as conn:
            await conn.execute("INSERT INTO accounts VALUES ($1)", data["name"])
    return web.json_response({}, status=201)


# label: api.renamed changes=yes covered=no -- raises web.HTTPBadRequest before the event
@routes.put("/accounts/{id}")
async def renamed(request):
    data = await request.json()
    if "name" not in data:
        raise web.HTTPBadRequest
    with audit.recording("account.account.renamed", **WHO):
        async with request.app["db"].acquire() as conn:
            await conn.execute("UPDATE accounts SET name = $1", data["name"])
    return web.Response()


# label: api.closed changes=yes covered=yes -- raising is recorded too
@routes.delete("/accounts/{id}")
async def closed(request):
    try:
        async with request.app["db"].acquire() as conn:
            found = await conn.execute("DELETE FROM accounts")
        if not found:
            raise web.HTTPNotFound
    except Exception as exc:
        await audit.emit_durable("account.account.closed", outcome=Outcome.FAILURE, **WHO)
        raise exc
    await audit.emit_durable("account.account.closed", **WHO)
    return web.Response(status=204)


# label: api.from_app changes=yes covered=yes -- the producer lies in the application
@routes.post("/from-app")
async def from_app(request):
    with request.app["audit"].recording("account.thing.done", **WHO):
        await request.app["db"].execute("UPDATE accounts SET n = 1")
    return web.Response()


# label: api.waits changes=yes covered=yes -- a callee that emits is awaited
@routes.post("/waits")
async def waits(request):
    await _note("account.thing.done")
    return web.Response()


# label: api.forgets changes=yes covered=no -- the callee that emits is not awaited
@routes.post("/forgets")
async def forgets(request):
    _note("account.thing.done")
    return web.Response()


# label: api.shields changes=yes covered=yes -- shielded and awaited
@routes.post("/shields")
async def shields(request):
    await asyncio.shield(_note("account.thing.done"))
    return web.Response()


# label: api.to_thread changes=yes covered=yes -- emitted in a thread that is awaited
@routes.post("/to-thread")
async def to_thread(request):
    await asyncio.to_thread(audit.emit, "account.thing.done", **WHO)
    return web.Response()


# label: api.spawns changes=yes covered=no -- a task of its own
@routes.post("/spawns")
async def spawns(request):
    request.app["tasks"].add(asyncio.ensure_future(_note("account.thing.done")))
    return web.Response()


# label: api.task_then_await changes=yes covered=yes -- the task is awaited by its name
@routes.post("/task-await")
async def task_then_await(request):
    task = asyncio.create_task(_note("account.thing.done"))
    await task
    return web.Response()


async def _note(name):
    await audit.emit_durable(name, **WHO)


# label: api.Account.get changes=no covered=no -- reads
# label: api.Account.post changes=yes covered=no -- not recorded
# label: api.Account.patch changes=yes covered=yes -- recorded
@routes.view("/account/{id}")
class Account(web.View):
    async def get(self):
        return web.json_response({})

    async def post(self):
        await self.request.app["db"].execute("UPDATE accounts SET n = 1")
        return web.Response()

    async def patch(self):
        with audit.recording("account.account.patched", **WHO):
            await self.request.app["db"].execute("UPDATE accounts SET n = 1")
        return web.Response()


# label: api.any_method changes=yes covered=yes -- all methods; what is not a GET is recorded
async def any_method(request):
    match request.method:
        case "GET" | "HEAD":
            return web.Response()
        case "POST":
            with audit.recording("account.thing.done", **WHO):
                await request.app["db"].execute("UPDATE accounts SET n = 1")
            return web.Response()
        case _:
            audit.emit("account.thing.refused", **WHO)
            raise web.HTTPMethodNotAllowed(request.method, ["GET", "POST"])


# label: api.any_silent changes=yes covered=no -- all methods, and it writes
async def any_silent(request):
    await request.app["db"].execute("UPDATE accounts SET n = 1")
    return web.Response()


# label: api.any_reading changes=no covered=no -- all methods, and it only reads
async def any_reading(request):
    rows = await request.app["db"].fetch("SELECT 1")
    return web.json_response(len(rows))


# label: api.stream changes=no covered=no -- writes to its answer only
async def stream(request):
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"x")
    await response.write_eof()
    return response


# label: api.nested_try changes=yes covered=yes -- the inner failure is recorded by the outer handler
async def nested_try(request):
    try:
        try:
            await request.app["db"].execute("UPDATE accounts SET n = 1")
        except ValueError as exc:
            raise RuntimeError from exc
    except Exception:
        await audit.emit_durable("account.thing.failed", **WHO)
        return web.Response(status=500)
    await audit.emit_durable("account.thing.done", **WHO)
    return web.Response()


# label: api.else_branch changes=yes covered=no -- the loop that breaks skips the event of its else
async def else_branch(request):
    for name in request.query.getall("name", []):
        if name == "stop":
            break
    else:
        audit.emit("account.thing.done", **WHO)
    return web.Response()


# label: api.after_write_mail changes=yes covered=no -- the mail can fail between the change and the event
async def after_write_mail(request):
    try:
        await request.app["db"].execute("UPDATE accounts SET n = 1")
    except Exception:
        audit.emit("account.thing.failed", **WHO)
        raise
    await request.app["mail"].deliver("hello")
    audit.emit("account.thing.done", **WHO)
    return web.Response()


# label: api.rollback_first changes=yes covered=yes -- what is rolled back is recorded after
async def rollback_first(request):
    db = request.app["db"]
    try:
        await db.execute("UPDATE accounts SET n = 1")
    except Exception:
        await db.rollback()
        audit.emit("account.thing.failed", **WHO)
        raise
    audit.emit("account.thing.done", **WHO)
    return web.Response()


def setup(app: web.Application):
    accounts = Accounts(app)
    app.router.add_post("/any", any_silent)
    app.router.add_route("*", "/any-method", any_method)
    app.router.add_route("*", "/any-silent", any_silent)
    app.router.add_route("*", "/any-reading", any_reading)
    app.router.add_get("/stream", stream)
    app.router.add_post("/nested", nested_try)
    app.router.add_post("/else", else_branch)
    app.router.add_post("/mail", after_write_mail)
    app.router.add_post("/rollback", rollback_first)
    # label: handlers.Accounts.merge changes=yes covered=no -- a method of an object
    app.router.add_post("/merge", accounts.merge)
    # label: handlers.Accounts.split changes=yes covered=yes -- a method of an object that records
    app.router.add_post("/split", accounts.split)
    # label: handlers.delete_account changes=yes covered=no -- in a list of another module's
    # label: handlers.get_account changes=no covered=no -- the same, GET
    app.add_routes([web.delete("/account/{id}", delete_account), web.get("/one/{id}", get_account)])
    app.add_routes(routes)
    for path, handler in request_table():
        # label: @table changes=yes covered=no -- out of a table that is made at run time
        app.router.add_post(path, handler)


def request_table():
    return []
