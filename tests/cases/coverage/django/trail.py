"""The producer of the process."""

from audit.event import Actor
from audit.producer import AuditProducer

audit = AuditProducer(None, service="shop")
WHO = {"tenant_id": "t", "actor": Actor(type="user", id="u"), "action": "order:write"}
