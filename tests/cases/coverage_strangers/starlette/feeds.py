"""In the manner of a feed reader: endpoints as classes, mounts, a database of async queries."""

from databases import Database
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from lychgate.audit import AuditProducer

audit = AuditProducer(None, service="feeds")
database = Database("postgresql://")


async def _store(url):
    return await database.execute("INSERT INTO feeds (url) VALUES (:url) RETURNING id", {"url": url})


async def _refresh(feed):
    await database.execute("UPDATE feeds SET seen = now() WHERE id = :id", {"id": feed})


class Feeds(HTTPEndpoint):
    """All feeds."""

    # label: feeds.Feeds.get changes=no covered=no -- reads
    async def get(self, request):
        return JSONResponse([dict(row) for row in await database.fetch_all("SELECT id, url FROM feeds")])

    # label: feeds.Feeds.post changes=yes covered=yes -- recorded around reading, refusing and writing
    async def post(self, request):
        with audit.recording("feeds.feed.added"):
            data = await request.json()
            if "url" not in data:
                raise HTTPException(422)
            return JSONResponse({"id": await _store(data["url"])}, status_code=201)


class Feed(HTTPEndpoint):
    """One feed."""

    # label: feeds.Feed.delete changes=yes covered=no -- nothing found is a 404 that nobody hears of
    async def delete(self, request):
        feed = request.path_params["id"]
        if not await database.fetch_val("SELECT 1 FROM feeds WHERE id = :id", {"id": feed}):
            return Response(status_code=404)
        with audit.recording("feeds.feed.removed"):
            await database.execute("DELETE FROM feeds WHERE id = :id", {"id": feed})
        return Response(status_code=204)

    # label: feeds.Feed.patch changes=yes covered=no -- the transaction ends after the event's block has begun, outside of it
    async def patch(self, request):
        data = await request.json()
        async with database.transaction():
            await database.execute("UPDATE feeds SET title = :title WHERE id = :id", data)
            audit.emit_later = True
        return Response(status_code=204)


# label: feeds.refresh changes=yes covered=no -- told of by a task behind the answer
async def refresh(request):
    await _refresh(request.path_params["id"])
    return Response(status_code=202, background=BackgroundTask(audit.emit, "feeds.feed.refreshed"))


# label: feeds.mark_read changes=yes covered=yes -- awaited before the change, so that whatever fails then is known of
async def mark_read(request):
    await audit.emit_durable("feeds.entry.read", entry=request.path_params["id"])
    await database.execute("UPDATE entries SET read = true WHERE id = :id", dict(request.path_params))
    return Response(status_code=204)


# label: feeds.unread changes=no covered=no -- reads
async def unread(request):
    return JSONResponse(await database.fetch_val("SELECT count(*) FROM entries WHERE NOT read"))


app = Starlette(
    routes=[
        Mount("/feeds", routes=[Route("/", Feeds), Route("/{id:int}", Feed), Route("/{id:int}/refresh", refresh, methods=["POST"])]),
        Route("/entries/{id:int}/read", mark_read, methods=["PUT"]),
        Route("/entries/unread", unread),
    ]
)
