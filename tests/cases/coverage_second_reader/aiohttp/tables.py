"""Tables."""

import sqlalchemy as sa

meta = sa.MetaData()
servers = sa.Table("servers", meta, sa.Column("name", sa.String))
tokens = sa.Table("tokens", meta, sa.Column("id", sa.Integer), sa.Column("note", sa.String))
