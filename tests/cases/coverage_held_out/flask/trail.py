"""The producer of the process."""

from contextlib import contextmanager

from flask import current_app, g

from audit.event import Actor
from audit.producer import AuditProducer


def get_producer() -> AuditProducer:
    return current_app.extensions["lychgate"]


@contextmanager
def audit_event(name, **more):
    with get_producer().recording(name, tenant_id=g.tenant, actor=Actor(type="user", id=g.user), action="blog:write") as it:
        yield it
