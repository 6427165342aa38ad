"""In the manner of a project tracker: units of work, nested routers, dependencies that open sessions."""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Response
from sqlalchemy import func, select, update

from .jobs import export_project, reindex
from .tables import Project, Session
from .uow import UnitOfWork, accounted, audit

api = APIRouter(prefix="/api/v2")
router = APIRouter(prefix="/projects", tags=["projects"])


async def get_session():
    async with Session() as session:
        yield session


Db = Annotated[object, Depends(get_session)]


# label: projects.index changes=no covered=no -- a listing
@router.get("")
async def index(session: Db, limit: int = 50):
    return (await session.execute(select(Project).limit(limit))).scalars().all()


# label: projects.stats changes=no covered=no -- counts rows
@router.get("/stats")
async def stats(session: Db):
    async with session.begin():
        return {"count": await session.scalar(select(func.count()).select_from(Project))}


# label: projects.create changes=yes covered=yes -- the whole of it within a context manager that emits either way
@router.post("", status_code=201)
async def create(payload: dict):
    async with accounted("project.project.created", slug=payload["slug"]), UnitOfWork() as uow:
        if await uow.projects.by_slug(payload["slug"]):
            raise HTTPException(409, "taken")
        return await uow.projects.put(Project(**payload))


# label: projects.rename changes=yes covered=no -- the commit comes with the end of the block, after which the event is; it can fail
@router.patch("/{slug}")
async def rename(slug: str, payload: dict):
    async with UnitOfWork() as uow:
        project = await uow.projects.by_slug(slug)
        if project is None:
            audit.emit("project.project.renamed", outcome="failure", slug=slug)
            raise HTTPException(404)
        project.title = payload["title"]
    audit.emit("project.project.renamed", slug=slug)
    return project


# label: projects.archive changes=yes covered=no -- 404 leaves without an event
@router.post("/{slug}/archive")
async def archive(slug: str, session: Db):
    async with session.begin():
        found = await session.get(Project, slug)
        if not found:
            raise HTTPException(status_code=404)
        with audit.recording("project.project.archived", action="project:archive"):
            found.archived = True
            await session.flush()
    return Response(status_code=204)


# label: projects.unarchive changes=yes covered=yes -- recorded around the transaction
@router.post("/{slug}/unarchive")
async def unarchive(slug: str, session: Db):
    with audit.recording("project.project.unarchived", action="project:archive"):
        async with session.begin():
            done = await session.execute(update(Project).where(Project.slug == slug).values(archived=False))
            if done.rowcount == 0:
                raise HTTPException(404)
    return Response(status_code=204)


# label: projects.destroy changes=yes covered=yes -- the decorator, above an early refusal
@router.delete("/{slug}", status_code=204)
@audit.recorded("project.project.deleted", action="project:delete", resource_type="Project")
async def destroy(slug: str, uow: Annotated[UnitOfWork, Depends()]):
    if slug == "root":
        raise HTTPException(403)
    async with uow:
        await uow.projects.remove(slug)


# label: projects.export changes=yes covered=no -- a task is queued and nobody told
@router.post("/{slug}/export", status_code=202)
async def export(slug: str):
    job = export_project.delay(slug)
    return {"job": job.id}


# label: projects.reindex_all changes=yes covered=yes -- told before it is queued, and nothing is refused
@router.post("/reindex", status_code=202)
async def reindex_all(tasks: BackgroundTasks):
    audit.emit("project.index.requested")
    tasks.add_task(reindex)
    return {"queued": True}


# label: projects.get_or_create changes=yes covered=no -- a GET that adds a row
@router.get("/{slug}/board")
async def get_or_create(slug: str, session: Db):
    project = await session.get(Project, slug)
    if project is None:
        project = Project(slug=slug)
        session.add(project)
        await session.commit()
    return project


# label: projects.bulk changes=yes covered=yes -- finally, with the outcome it had
@router.put("")
async def bulk(items: list[dict], session: Db):
    outcome = "failure"
    try:
        for item in items:
            await session.merge(Project(**item))
        await session.commit()
        outcome = "success"
    finally:
        audit.emit("project.projects.replaced", outcome=outcome, count=len(items))
    return {"count": len(items)}


# label: projects.transfer changes=yes covered=no -- only IntegrityError is told of
@router.post("/{slug}/transfer")
async def transfer(slug: str, owner: str, session: Db):
    try:
        await session.execute(update(Project).where(Project.slug == slug).values(owner=owner))
        await session.commit()
    except IntegrityError:
        audit.emit("project.project.transferred", outcome="failure")
        raise HTTPException(409) from None
    audit.emit("project.project.transferred", slug=slug)
    return Response(status_code=204)


def crud(model, name):
    """Endpoints for any table."""
    made = APIRouter(prefix=f"/{name}")

    # label: projects.crud.read_one changes=no covered=no -- reads
    @made.get("/{key}")
    async def read_one(key: str, session: Db):
        return await session.get(model, key)

    # label: projects.crud.add_one changes=yes covered=no -- nothing told
    @made.post("")
    async def add_one(payload: dict, session: Db):
        session.add(model(**payload))
        await session.commit()
        return payload

    # label: projects.crud.drop_one changes=yes covered=yes -- recorded
    @made.delete("/{key}")
    async def drop_one(key: str, session: Db):
        with audit.recording(f"project.{name}.deleted", action="project:delete"):
            await session.delete(await session.get(model, key))
            await session.commit()

    return made


api.include_router(router)
api.include_router(crud(Project, "labels"))
app = FastAPI()
app.include_router(api)
