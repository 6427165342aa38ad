"""Notes: databases, decorators of Starlette's own, and a background task."""

import databases
import sqlalchemy
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from audit.event import Actor
from audit.producer import AuditProducer

database = databases.Database("postgresql://")
notes = sqlalchemy.Table("notes", sqlalchemy.MetaData())
producer = AuditProducer(None, service="notes")
WHO = {"tenant_id": "t", "actor": Actor(type="user"), "action": "note:write"}


# label: notes.list_notes changes=no covered=no -- reads
async def list_notes(request):
    query = notes.select()
    results = await database.fetch_all(query)
    return JSONResponse([{"text": result["text"]} for result in results])


# label: notes.add_note changes=yes covered=no -- the event comes after the answer
@requires("authenticated")
async def add_note(request):
    data = await request.json()
    query = notes.insert().values(text=data["text"])
    await database.execute(query)
    task = BackgroundTask(producer.emit, "note.note.added", **WHO)
    return JSONResponse({"text": data["text"]}, background=task)


# label: notes.edit_note changes=yes covered=yes -- the change and its record
@requires("authenticated")
async def edit_note(request):
    with producer.recording("note.note.edited", **WHO):
        data = await request.json()
        async with database.transaction():
            await database.execute(notes.update().values(text=data["text"]))
    return JSONResponse({})


# label: notes.open_note changes=yes covered=no -- a GET by which a note counts as read
async def open_note(request):
    await database.execute(notes.update().values(read=True))
    return RedirectResponse("/notes")


app = Starlette(
    routes=[
        Route("/notes", endpoint=list_notes, methods=["GET"]),
        Route("/notes", endpoint=add_note, methods=["POST"]),
        Route("/notes/{id}", endpoint=edit_note, methods=["PUT"]),
        Route("/open/{id}", endpoint=open_note),
    ]
)
