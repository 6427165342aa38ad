"""Dependencies."""

from collections.abc import Generator
from typing import Annotated

from fastapi import Depends, HTTPException
from sqlmodel import Session, create_engine

from audit.producer import AuditProducer

from .models import User

engine = create_engine("postgresql://")


def get_db() -> Generator[Session, None, None]:
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_db)]


def get_current_user(session: SessionDep) -> User:
    user = session.get(User, 1)
    if not user:
        raise HTTPException(status_code=404)
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


def get_current_active_superuser(current_user: CurrentUser) -> User:
    if not current_user.is_superuser:
        raise HTTPException(status_code=403)
    return current_user


def audit_dep() -> AuditProducer:
    return AuditProducer(None, service="users")
