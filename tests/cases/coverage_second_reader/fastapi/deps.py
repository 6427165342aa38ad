"""Dependencies."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from lychgate.audit import AuditProducer


def get_db(request: Request) -> Session:
    return request.state.db


def get_audit(request: Request) -> AuditProducer:
    return request.app.state.audit


def get_current_user(request: Request):
    return request.state.user


def audit_scope(request: Request, audit: Annotated[AuditProducer, Depends(get_audit)]) -> Iterator[None]:
    with audit.recording("incident.admin.done", resource_id=request.url.path):
        yield


DbSession = Annotated[Session, Depends(get_db)]
CurrentUser = Annotated[object, Depends(get_current_user)]
