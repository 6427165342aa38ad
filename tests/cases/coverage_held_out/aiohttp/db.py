"""Tables and statements."""

import sqlalchemy as sa

meta = sa.MetaData()
question = sa.Table("question", meta)
choice = sa.Table("choice", meta)


async def vote(conn, choice_id):
    result = await conn.execute(choice.update().where(choice.c.id == choice_id).values(votes=1))
    record = await result.fetchone()
    if not record:
        raise LookupError


async def retract(conn, choice_id):
    await conn.execute(choice.update().values(votes=0))
