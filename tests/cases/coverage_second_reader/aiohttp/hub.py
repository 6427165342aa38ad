"""In the manner of a hub for notebooks: handlers that are methods of an object, a table of routes, a partial."""

import asyncio
import functools

import sqlalchemy as sa
from aiohttp import web

from .tables import servers, tokens

routes = web.RouteTableDef()


class Handlers:
    def __init__(self, db, audit) -> None:
        self.db = db
        self.audit = audit

    # label: Handlers.start changes=yes covered=yes -- emits in finally, whatever is raised
    async def start(self, request: web.Request) -> web.Response:
        outcome = "failure"
        try:
            name = request.match_info["name"]
            if name.startswith("_"):
                raise web.HTTPForbidden
            async with self.db.acquire() as conn:
                await conn.execute(servers.insert().values(name=name))
            outcome = "success"
            return web.json_response({"name": name}, status=201)
        finally:
            await asyncio.shield(self.audit.emit_durable("hub.server.started", outcome=outcome))

    # label: Handlers.stop changes=yes covered=no -- nobody awaits the thread in which it emits
    async def stop(self, request: web.Request) -> web.Response:
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, self.audit.emit_and_wait, "hub.server.stopped")
        async with self.db.acquire() as conn:
            await conn.execute(sa.delete(servers).where(servers.c.name == request.match_info["name"]))
        return web.Response(status=204)

    # label: Handlers.show changes=no covered=yes -- reads
    async def show(self, request: web.Request) -> web.Response:
        async with self.db.acquire() as conn:
            row = await (await conn.execute(sa.select(servers))).first()
        return web.json_response(dict(row))


# label: hub.revoke_token changes=yes covered=no -- nothing is emitted when the statement fails
@routes.delete("/api/tokens/{id}")
async def revoke_token(request: web.Request) -> web.Response:
    async with request.app["db"].acquire() as conn:
        result = await conn.execute(sa.delete(tokens).where(tokens.c.id == request.match_info["id"]))
    if not result.rowcount:
        raise web.HTTPNotFound
    await request.app["audit"].emit_durable("hub.token.revoked")
    return web.Response(status=204)


# label: hub.issue_token changes=yes covered=yes -- all of it within a recorder
@routes.post("/api/tokens")
async def issue_token(request: web.Request) -> web.Response:
    async with request.app["audit"].recording_durable("hub.token.issued"):
        data = await request.json()
        async with request.app["db"].acquire() as conn, conn.begin():
            await conn.execute(tokens.insert().values(note=data["note"]))
        raise web.HTTPCreated


async def proxy(target, request: web.Request) -> web.Response:
    async with request.app["client"].request(request.method, target + request.path) as answer:
        return web.Response(body=await answer.read(), status=answer.status)


def setup(app: web.Application) -> None:
    handlers = Handlers(app["db"], app["audit"])
    app.router.add_post("/api/servers/{name}", handlers.start)
    app.router.add_delete("/api/servers/{name}", handlers.stop)
    app.router.add_get("/api/servers/{name}", handlers.show)
    app.add_routes(routes)
    # label: @proxy changes=yes covered=no -- a partial, of a function that emits nothing
    app.router.add_post("/proxy/{tail:.*}", functools.partial(proxy, "http://127.0.0.1:1"))
