"""In the manner of a device hub: route tables, class views, a pool in the application."""

from aiohttp import web

from lychgate.audit import AuditProducer

routes = web.RouteTableDef()
audit = AuditProducer(None, service="devices")


async def _device(request):
    async with request.app["pool"].acquire() as connection:
        row = await connection.fetchrow("SELECT * FROM devices WHERE id = $1", request.match_info["id"])
    if row is None:
        raise web.HTTPNotFound
    return row


# label: devices.show changes=no covered=no -- reads
@routes.get("/devices/{id}")
async def show(request):
    return web.json_response(dict(await _device(request)))


# label: devices.register changes=yes covered=yes -- recorded
@routes.post("/devices")
async def register(request):
    with audit.recording("devices.device.registered"):
        data = await request.json()
        async with request.app["pool"].acquire() as connection, connection.transaction():
            await connection.execute("INSERT INTO devices (id) VALUES ($1)", data["id"])
    return web.Response(status=201)


# label: devices.switch changes=yes covered=no -- HTTPNotFound comes out of what it calls, before anything is told
@routes.post("/devices/{id}/switch")
async def switch(request):
    device = await _device(request)
    with audit.recording("devices.device.switched"):
        async with request.app["pool"].acquire() as connection:
            await connection.execute("UPDATE devices SET state = NOT state WHERE id = $1", device["id"])
    raise web.HTTPSeeOther(f"/devices/{device['id']}")


@routes.view("/devices/{id}/labels")
class Labels(web.View):
    """What is written on a device."""

    # label: devices.Labels.get changes=no covered=no -- reads
    async def get(self):
        return web.json_response((await _device(self.request))["labels"])

    # label: devices.Labels.put changes=yes covered=yes -- recorded, the look included
    async def put(self):
        with audit.recording("devices.labels.set"):
            device = await _device(self.request)
            async with self.request.app["pool"].acquire() as connection:
                await connection.execute("UPDATE devices SET labels = $1", device["labels"])
        return web.Response(status=204)

    # label: devices.Labels.delete changes=yes covered=no -- nothing told
    async def delete(self):
        async with self.request.app["pool"].acquire() as connection:
            await connection.execute("UPDATE devices SET labels = NULL")
        return web.Response(status=204)


def build():
    app = web.Application()
    app.add_routes(routes)
    return app
