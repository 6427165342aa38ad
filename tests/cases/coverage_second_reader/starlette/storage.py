"""The database."""

import sqlalchemy as sa
from databases import Database

from lychgate.audit import AuditProducer

database = Database("sqlite://")
packages = sa.Table("packages", sa.MetaData(), sa.Column("name", sa.String), sa.Column("body", sa.LargeBinary))
audit = AuditProducer(None, service="registry")
