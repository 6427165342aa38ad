"""What is older than a tenant keeps is shown to nobody, purged or not yet; what is held is shown."""

import asyncpg

from audit.settings import RetentionSettings
from tests.builders.aged import aged_id
from tests.builders.audit import make_event
from tests.builders.query_api import MakeApi, Write
from tests.servers.postgres import Logins

KEPT = RetentionSettings(days=30, tenants={"acme": 7, "platform": 400})


async def test_what_is_too_old_is_hidden_at_once(make_api: MakeApi, write: Write) -> None:
    """On a page, by id, and under its trace; in either order; each tenant by its own days."""
    api = await make_api(retention=KEPT)
    young, old = aged_id(6.9), aged_id(7.1)
    theirs = aged_id(8.0)
    await write(
        make_event(event_id=young, tenant_id="acme"),
        make_event(event_id=old, tenant_id="acme"),
        make_event(event_id=theirs, tenant_id="globex"),
    )
    assert await api.ids() == [young] == await api.ids(order="asc")
    assert (await api.ask(f"/audit/events/{old}")).status_code == 404
    assert (await api.ask(f"/audit/events/{young}")).status_code == 200
    assert await api.ids("/audit/trace/4bf92f3577b34da6a3ce929d0e0e4736") == [young]
    assert await api.ids(severity_gte="info") == [young]
    assert await api.ids(tenant="globex") == [theirs]


async def test_what_is_held_is_shown_until_it_is_released(
    make_api: MakeApi, write: Write, migrated_database: Logins
) -> None:
    """What is kept for somebody is kept to be read; of another tenant's hold nobody sees anything."""
    api = await make_api(retention=KEPT)
    old = aged_id(8.0)
    await write(make_event(event_id=old, tenant_id="acme"))
    keeper = await asyncpg.connect(migrated_database.keeper)
    place = "SELECT audit_hold_place($1, NULL, NULL, NULL, NULL, NULL, 'case', 'ada')"
    await keeper.fetchval(place, "globex")
    assert await api.ids() == []
    number = await keeper.fetchval(place, "acme")
    assert await api.ids() == [old]
    assert (await api.ask(f"/audit/events/{old}")).status_code == 200
    await keeper.fetchval("SELECT audit_hold_release($1, 'ada')", number)
    await keeper.close()
    assert await api.ids() == []


async def test_what_belongs_to_nobody_has_its_own_days(make_api: MakeApi, write: Write) -> None:
    """The platform keeps long, and what has no tenant does not."""
    api = await make_api(retention=KEPT)
    own, nobodys = aged_id(32.0), aged_id(32.0)
    await write(make_event(event_id=own, tenant_id="platform"), make_event(event_id=nobodys, tenant_id="-"))
    assert await api.ids(roles="SuperAdmin", tenant="platform") == [own]
