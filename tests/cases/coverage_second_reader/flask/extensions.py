"""What all share."""

from flask_sqlalchemy import SQLAlchemy

from lychgate.audit import AuditProducer

db = SQLAlchemy()
audit = AuditProducer(None, service="dashboards")
