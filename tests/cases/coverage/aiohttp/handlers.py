"""Handlers of another module."""

from aiohttp import web

from audit.event import Actor
from audit.producer import AuditProducer

WHO = {"tenant_id": "t", "actor": Actor(type="user", id="u"), "action": "account:write"}


class Accounts:
    def __init__(self, app: web.Application):
        self.db = app["db"]
        self._audit: AuditProducer = app["audit"]

    async def merge(self, request):
        await self.db.execute("UPDATE accounts SET n = 1")
        return web.Response()

    async def split(self, request):
        with self._audit.recording("account.account.split", **WHO):
            await self._write()
        return web.Response()

    async def _write(self):
        await self.db.execute("UPDATE accounts SET n = 1")


async def delete_account(request):
    await request.app["db"].execute("DELETE FROM accounts")
    return web.Response()


async def get_account(request):
    return web.json_response({})
