"""A service class over a unit of work."""

from typing import Annotated

from fastapi import Depends

from audit.event import Actor
from audit.producer import AuditProducer

from .core import SessionDep, audit_dep
from .models import Message, User


class UnitOfWork:
    def __init__(self, session):
        self.session = session

    def __enter__(self):
        return self

    def __exit__(self, kind, exc, trace):
        if exc:
            self.session.rollback()
        else:
            self.session.commit()


class UserService:
    def __init__(self, session: SessionDep, audit: Annotated[AuditProducer, Depends(audit_dep)]):
        self._session = session
        self._audit = audit

    async def deactivate(self, user_id) -> Message:
        with self._recording("user.user.deactivated"):
            return self._set(user_id, active=False)

    async def reactivate(self, user_id) -> Message:
        with UnitOfWork(self._session) as unit:
            user = unit.session.get(User, user_id)
            user.active = True
        self._audit.emit("user.user.reactivated", tenant_id="t", actor=Actor(type="user"), action="user:reactivate")
        return Message(message="ok")

    async def find(self, q):
        return self._session.query(User).filter(User.email.like(q)).all()

    def _recording(self, name):
        return self._audit.recording(name, tenant_id="t", actor=Actor(type="user"), action="user:write")

    def _set(self, user_id, *, active):
        user = self._session.get(User, user_id)
        user.active = active
        self._session.commit()
        return Message(message="ok")
