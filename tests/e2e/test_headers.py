"""What reaches a service through the real gateway, and what of it stands in the real store."""

import json
import time
from pathlib import Path

from roles.security_context.keys import TrustedKeys
from roles.security_context.verifier import ContextVerifier
from tests.gateway.supervisor.process import sections, started, token
from tests.servers.postgres import Logins, Postgres
from tests.servers.upstream import upstream

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPOOFED = {
    "X-Security-Context": "forged",
    "x_security_context": "forged",
    "X-Tenant-Id": "acme",
    "X_TENANT_ID": "forged",
    "X-User-Id": "forged",
    "X-User-Roles": "Admin",
    "X_User-Roles": "forged",
    "X-Decision-Id": "forged",
    "X-Trace-Id": "forged",
    "X-Forwarded-For": "203.0.113.9",
    "Forwarded": "for=203.0.113.9",
}


async def test_the_service_is_told_who_asks_by_the_gateway_alone(
    tmp_path: Path, migrated_database: Logins, postgres: Postgres
) -> None:
    """Signed context, tenant, user, roles, trace and decision, none of them the client's; and the row to it."""
    async with upstream() as service:
        configuration = sections(tmp_path, migrated_database.writer, service.port)
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            sent = {**token("Cashier"), **SPOOFED, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
            answer = await gateway.public.post("/orders?dry=1", headers=sent, json={"lines": []})
            assert answer.status_code == 200, answer.text
            head = service.heads[0]
            fields = service.fields(0)
            assert b"forged" not in head
            assert b"203.0.113.9" not in head
            assert head.startswith(b"POST /orders?dry=1 HTTP/1.1\r\n")
            assert "authorization" not in fields
            assert (fields["x-tenant-id"], fields["x-user-id"], fields["x-user-roles"]) == ("acme", "u-17", "Cashier")
            assert fields["x-trace-id"] == TRACE
            assert fields["traceparent"].startswith(f"00-{TRACE}-")
            assert fields["x-decision-id"] == answer.headers["x-decision-id"]
            assert fields["x-forwarded-for"] == "127.0.0.1"
            keys = TrustedKeys.from_jwks((await gateway.ops.get("/.well-known/jwks.json")).json())
            context = ContextVerifier("lychgate", "order").verify(fields["x-security-context"], keys, time.time())
            assert (context.tenant_id, context.sub, context.roles, context.htm) == (
                "acme",
                "u-17",
                ("Cashier",),
                "POST",
            )
            assert context.jti == fields["x-decision-id"]
            database = migrated_database.owner.rpartition("/")[2]

            async def both_records() -> bool:
                statement = f"SELECT count(*) FROM audit_events WHERE event_id = '{context.jti}'"  # noqa: S608 - a UUID
                return postgres.sql(statement, database=database) == "2"

            await gateway.until("both records are in the store", both_records)
            row = postgres.sql(
                "SELECT json_build_array(tenant_id, actor_id, action, decision, trace_id, body->'input'->'context')"  # noqa: S608
                f" FROM audit_events WHERE event_id = '{context.jti}' AND phase = 'decided'",
                database=database,
            )
            assert json.loads(row)[:5] == ["acme", "u-17", "order:create", "allow", TRACE]
            assert await gateway.stop() == 0
