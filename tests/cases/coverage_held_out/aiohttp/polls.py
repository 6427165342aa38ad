"""The demos' polls: a handler class, a pool in the application, middlewares apart."""

from aiohttp import web

from audit.event import Actor
from audit.producer import AuditProducer

from . import db

PRODUCER = web.AppKey("producer", AuditProducer)
WHO = {"tenant_id": "t", "actor": Actor(type="user"), "action": "poll:write"}


# label: polls.index changes=no covered=no -- reads
async def index(request):
    async with request.app["db"].acquire() as conn:
        cursor = await conn.execute(db.question.select())
        records = await cursor.fetchall()
    return web.json_response([dict(record) for record in records])


# label: polls.vote changes=yes covered=no -- a choice that is missing is refused before the event
async def vote(request):
    async with request.app["db"].acquire() as conn:
        data = await request.post()
        try:
            choice_id = int(data["choice"])
        except (KeyError, TypeError, ValueError) as e:
            raise web.HTTPBadRequest(text="no choice") from e
        audit = request.app[PRODUCER]
        with audit.recording("poll.vote.cast", **WHO):
            await db.vote(conn, choice_id)
    return web.HTTPFound(location="/")


# label: polls.retract changes=yes covered=yes -- all in the recording
async def retract(request):
    audit: AuditProducer = request.app[PRODUCER]
    with audit.recording("poll.vote.retracted", **WHO):
        data = await request.post()
        if "choice" not in data:
            raise web.HTTPBadRequest
        async with request.app["db"].acquire() as conn:
            await db.retract(conn, data["choice"])
    raise web.HTTPFound("/")


# label: polls.SiteHandler.create changes=yes covered=no -- not recorded
# label: polls.SiteHandler.show changes=no covered=no -- reads
class SiteHandler:
    def __init__(self, mongo):
        self._mongo = mongo

    async def create(self, request):
        form = await request.json()
        result = await self._mongo.polls.insert_one(form)
        return web.json_response({"id": str(result.inserted_id)})

    async def show(self, request):
        return web.json_response(await self._mongo.polls.find_one({"id": 1}))


def setup_routes(app: web.Application, handler: SiteHandler):
    app.router.add_get("/", index)
    app.router.add_post("/vote", vote)
    app.router.add_post("/retract", retract)
    app.router.add_route("POST", "/polls", handler.create)
    app.router.add_get("/polls", handler.show)
