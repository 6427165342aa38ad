"""Starlette: route lists, endpoint classes, mounts."""

import httpx
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute

from audit.event import Actor, Outcome
from audit.producer import AuditProducer

from .store import ITEMS, connection, events

audit = AuditProducer(None, service="items")
WHO = {"tenant_id": "t", "actor": Actor(type="user", id="u"), "action": "item:write"}


# label: service.list_items changes=no covered=no -- reads
async def list_items(request: Request):
    async with connection() as conn:
        rows = await conn.fetch("SELECT * FROM items")
    return JSONResponse([dict(row) for row in rows])


# label: service.add_item changes=yes covered=no -- no event at all
async def add_item(request: Request):
    body = await request.json()
    async with connection() as conn:
        await conn.execute("INSERT INTO items(name) VALUES ($1)", body["name"])
    return JSONResponse({}, status_code=201)


# label: service.replace_item changes=yes covered=yes -- recorded whole
async def replace_item(request: Request):
    with audit.recording("item.item.replaced", **WHO):
        body = await request.json()
        async with connection() as conn:
            await conn.execute("UPDATE items SET name = $1", body["name"])
    return JSONResponse({})


# label: service.remove_item changes=yes covered=no -- the failure of the database is answered, not recorded
async def remove_item(request: Request):
    try:
        async with connection() as conn:
            await conn.execute("DELETE FROM items WHERE id = $1", request.path_params["id"])
    except OSError:
        return JSONResponse({"error": "database"}, status_code=503)
    await audit.emit_durable("item.item.removed", **WHO)
    return Response(status_code=204)


# label: service.move_item changes=yes covered=yes -- each way out is recorded
async def move_item(request: Request):
    try:
        async with connection() as conn:
            await conn.execute("UPDATE items SET place = $1", request.query_params["to"])
    except Exception:
        await audit.emit_durable("item.item.moved", outcome=Outcome.FAILURE, **WHO)
        return JSONResponse({"error": "database"}, status_code=503)
    await audit.emit_durable("item.item.moved", **WHO)
    return Response(status_code=204)


# label: service.counted changes=yes covered=no -- a GET that counts in a dictionary of the module
async def counted(request: Request):
    ITEMS["views"] = ITEMS["views"] + 1
    return JSONResponse(ITEMS)


# label: service.proxied changes=no covered=no -- asks another service by POST
async def proxied(request: Request):
    async with httpx.AsyncClient() as client:
        answer = await client.post("http://search/query", json={})
    return JSONResponse(answer.json())


# label: service.emits_signal changes=yes covered=no -- another thing's emit
async def emits_signal(request: Request):
    await events.emit("changed")
    return JSONResponse({})


# label: service.Item.get changes=no covered=no -- reads
# label: service.Item.put changes=yes covered=yes -- recorded
# label: service.Item.delete changes=yes covered=no -- returns before the event where there is none
class Item(HTTPEndpoint):
    async def get(self, request):
        return JSONResponse({})

    async def put(self, request):
        with audit.recording("item.item.put", **WHO):
            await self._write(request)
        return JSONResponse({})

    async def delete(self, request):
        async with connection() as conn:
            found = await conn.fetchrow("DELETE FROM items WHERE id = $1 RETURNING id", request.path_params["id"])
        if found is None:
            return Response(status_code=404)
        audit.emit("item.item.deleted", **WHO)
        return Response(status_code=204)

    async def _write(self, request):
        async with connection() as conn:
            await conn.execute("UPDATE items SET name = $1", "x")


# label: service.Stock.post changes=yes covered=yes -- written by a method of the base class
class Recorded(HTTPEndpoint):
    async def post(self, request):
        with audit.recording("item.stock.posted", **WHO):
            return await self.perform(request)


class Stock(Recorded):
    async def perform(self, request):
        async with connection() as conn:
            await conn.execute("UPDATE stock SET n = n + 1")
        return JSONResponse({})


# label: service.flagged changes=yes covered=no -- the condition may be false
async def flagged(request):
    if request.headers.get("x-audit"):
        audit.emit("item.item.flagged", **WHO)
    return JSONResponse({})


# label: service.both_flags changes=yes covered=yes -- one of two branches always
async def both_flags(request):
    if request.headers.get("x-a"):
        audit.emit("item.item.flagged", **WHO)
    else:
        audit.emit("item.item.unflagged", **WHO)
    return JSONResponse({})


# label: service.toggled changes=yes covered=yes -- GET answers early, POST is recorded
async def toggled(request):
    if request.method == "GET":
        return JSONResponse({})
    with audit.recording("item.item.toggled", **WHO):
        async with connection() as conn:
            await conn.execute("UPDATE items SET on = NOT on")
    return JSONResponse({})


# label: service.toggled_badly changes=yes covered=no -- only GET is recorded
async def toggled_badly(request):
    if request.method == "GET":
        audit.emit("item.item.seen", **WHO)
        return JSONResponse({})
    async with connection() as conn:
        await conn.execute("UPDATE items SET on = NOT on")
    return JSONResponse({})


# label: service.export changes=no covered=no -- writes nothing but its answer
async def export(request):
    lines = []
    async with connection() as conn:
        for row in await conn.fetch("select * from items"):
            lines.append(str(row))
    return Response("\n".join(lines))


# label: service.cte changes=yes covered=no -- a common table expression that writes, by GET
async def cte(request):
    async with connection() as conn:
        rows = await conn.fetch("WITH gone AS (DELETE FROM items RETURNING *) SELECT * FROM gone")
    return JSONResponse(len(rows))


# label: service.finally_returns changes=yes covered=yes -- the event stands in finally, before its return
async def finally_returns(request):
    try:
        async with connection() as conn:
            await conn.execute("UPDATE items SET n = 1")
    finally:
        await audit.emit_durable("item.item.finished", **WHO)
        return JSONResponse({})  # noqa: B012


# label: service.emit_swallowed changes=yes covered=no -- the emitter's failure is swallowed and the change goes on
async def emit_swallowed(request):
    try:
        await audit.emit_durable("item.item.changed", **WHO)
    except Exception:
        pass
    async with connection() as conn:
        await conn.execute("UPDATE items SET n = 1")
    return JSONResponse({})


# label: service.emit_refuses changes=yes covered=yes -- the emitter's failure refuses the change
async def emit_refuses(request):
    try:
        await audit.emit_durable("item.item.changed", **WHO)
    except Exception as exc:
        raise RuntimeError("no audit") from exc
    async with connection() as conn:
        await conn.execute("UPDATE items SET n = 1")
    return JSONResponse({})


async def socket(websocket):
    await websocket.accept()


routes = [
    Route("/items", list_items),
    Route("/items", add_item, methods=["POST"]),
    Route("/items/{id}", replace_item, methods=["PUT"]),
    Route("/items/{id}", remove_item, methods=["DELETE"]),
    Route("/items/{id}/move", move_item, methods=["POST"]),
    Route("/counted", counted),
    Route("/proxied", proxied),
    Route("/signal", emits_signal, methods=["POST"]),
    Route("/item/{id}", Item),
    Mount("/stock", routes=[Route("/", Stock)]),
    Route("/flagged", flagged, methods=["POST"]),
    Route("/flags", both_flags, methods=["POST"]),
    Route("/toggled", toggled, methods=["GET", "POST"]),
    Route("/toggled-badly", toggled_badly, methods=["GET", "POST"]),
    Route("/export", export),
    Route("/cte", cte),
    Route("/finally", finally_returns, methods=["POST"]),
    Route("/swallowed", emit_swallowed, methods=["POST"]),
    Route("/refuses", emit_refuses, methods=["POST"]),
    WebSocketRoute("/ws", socket),
]
app = Starlette(routes=routes)
