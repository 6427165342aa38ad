"""The producer."""

from lychgate.audit import AuditProducer

audit = AuditProducer(None, service="tracker")
