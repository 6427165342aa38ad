"""In the manner of a package registry: endpoints of classes and functions, mounted, behind decorators."""

from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from .storage import audit, database, packages


@asynccontextmanager
async def unit(name: str, resource: str):
    try:
        async with database.transaction():
            yield
    except BaseException as exc:
        await audit.emit_durable(name, outcome="failure", resource_id=resource, details={"error": type(exc).__name__})
        raise
    await audit.emit_durable(name, resource_id=resource)


class Package(HTTPEndpoint):
    # label: Package.get changes=no covered=yes -- reads
    async def get(self, request: Request) -> Response:
        row = await database.fetch_one(packages.select().where(packages.c.name == request.path_params["name"]))
        return JSONResponse(dict(row))

    # label: Package.put changes=yes covered=yes -- a context manager of its own emits either way
    async def put(self, request: Request) -> Response:
        async with unit("registry.package.published", request.path_params["name"]):
            body = await request.body()
            if not body:
                raise HTTPException(400)
            await database.execute(packages.insert().values(name=request.path_params["name"], body=body))
        return Response(status_code=201)

    # label: Package.delete changes=yes covered=no -- the event is a background task of an answer that may not come
    async def delete(self, request: Request) -> Response:
        await database.execute(packages.delete().where(packages.c.name == request.path_params["name"]))
        return Response(status_code=204, background=BackgroundTask(audit.emit, "registry.package.removed"))


# label: registry.owner changes=yes covered=no -- a DELETE is recorded, a PUT is not
async def owner(request: Request) -> Response:
    if request.method == "DELETE":
        with audit.recording("registry.owner.removed"):
            await database.execute("DELETE FROM owners WHERE name = :name", {"name": request.path_params["name"]})
    else:
        await database.execute("INSERT INTO owners (name) VALUES (:name)", {"name": request.path_params["name"]})
    return Response(status_code=204)


# label: registry.yank changes=yes covered=yes -- all of it within a recorder, behind a decorator of the library
@requires("authenticated")
async def yank(request: Request) -> Response:
    async with audit.recording_durable("registry.version.yanked"):
        await database.execute("UPDATE versions SET yanked = true WHERE id = :id", request.path_params)
        return Response(status_code=204)


# label: registry.search changes=no covered=yes -- reads
async def search(request: Request) -> Response:
    query = "SELECT name FROM packages WHERE name LIKE :q"
    rows = await database.fetch_all(query, {"q": f"%{request.query_params.get('q', '')}%"})
    return JSONResponse([row["name"] for row in rows])


# label: registry.deprecate changes=yes covered=no -- emits where the flag says so
async def deprecate(request: Request) -> Response:
    quiet = request.query_params.get("quiet")
    try:
        await database.execute("UPDATE packages SET deprecated = true WHERE name = :name", request.path_params)
    finally:
        if not quiet:
            await audit.emit_durable("registry.package.deprecated")
    return Response(status_code=204)


app = Starlette(
    routes=[
        Mount(
            "/api",
            routes=[
                Route("/packages/{name}", Package),
                Route("/owners/{name}", owner, methods=["PUT", "DELETE"]),
                Route("/versions/{id}/yank", yank, methods=["POST"]),
                Route("/search", search),
                Route("/packages/{name}/deprecate", deprecate, methods=["POST"]),
            ],
        )
    ]
)
