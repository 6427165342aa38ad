"""A user service in layers, with a unit of work and a service class, as larger FastAPI projects are built."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Path, Query, UploadFile, status
from sqlmodel import Session, func, select

from audit.event import Actor, Outcome, Resource
from audit.producer import AuditProducer

from .core import CurrentUser, SessionDep, audit_dep, get_current_active_superuser
from .crud import authenticate, create_user, update_user
from .models import Item, ItemCreate, ItemUpdate, Message, User, UserCreate, UserUpdate
from .service import UserService

router = APIRouter(prefix="/users", tags=["users"])
AuditDep = Annotated[AuditProducer, Depends(audit_dep)]


# label: users.read_users changes=no covered=no -- a page of users
@router.get("/", dependencies=[Depends(get_current_active_superuser)])
def read_users(session: SessionDep, skip: int = 0, limit: int = 100) -> Any:
    count = session.exec(select(func.count()).select_from(User)).one()
    users = session.exec(select(User).offset(skip).limit(limit)).all()
    return {"data": users, "count": count}


# label: users.register_user changes=yes covered=no -- a name that is taken is refused before the event
@router.post("/signup")
def register_user(*, session: SessionDep, user_in: UserCreate, audit: AuditDep) -> Any:
    user = session.exec(select(User).where(User.email == user_in.email)).first()
    if user:
        raise HTTPException(status_code=400, detail="The user already exists")
    with audit.recording("user.user.created", tenant_id="t", actor=Actor(type="user"), action="user:create"):
        user = create_user(session=session, user_create=user_in)
    return user


# label: users.update_user_me changes=yes covered=yes -- all of it stands in the recording
@router.patch("/me")
def update_user_me(*, session: SessionDep, user_in: UserUpdate, current_user: CurrentUser, audit: AuditDep) -> Any:
    with audit.recording(
        "user.user.updated", tenant_id="t", actor=Actor(type="user"), action="user:update"
    ) as recording:
        if user_in.email:
            existing = session.exec(select(User).where(User.email == user_in.email)).first()
            if existing and existing.id != current_user.id:
                raise HTTPException(status_code=409, detail="taken")
        current_user.sqlmodel_update(user_in.model_dump(exclude_unset=True))
        session.add(current_user)
        session.commit()
        session.refresh(current_user)
        recording.resource = Resource(type="User", id=str(current_user.id))
        return current_user


# label: users.delete_user changes=yes covered=no -- a superuser's own deletion is refused without an event
@router.delete("/{user_id}")
def delete_user(session: SessionDep, current_user: CurrentUser, user_id: UUID, audit: AuditDep) -> Message:
    user = session.get(User, user_id)
    if not user:
        raise HTTPException(status_code=404)
    if user == current_user:
        raise HTTPException(status_code=403)
    session.delete(user)
    session.commit()
    audit.emit("user.user.deleted", tenant_id="t", actor=Actor(type="user"), action="user:delete")
    return Message(message="gone")


# label: users.upload_avatar changes=yes covered=no -- nothing is emitted
@router.post("/me/avatar")
async def upload_avatar(file: UploadFile, current_user: CurrentUser) -> Message:
    content = await file.read()
    (current_user.folder / "avatar").write_bytes(content)
    return Message(message="ok")


# label: users.login changes=yes covered=yes -- refused or not, it is recorded
@router.post("/login")
def login(session: SessionDep, email: str, password: str, audit: AuditDep) -> Any:
    user = authenticate(session=session, email=email, password=password)
    if not user:
        audit.emit(
            "user.login.made", tenant_id="t", actor=Actor(type="user"), action="user:login", outcome=Outcome.FAILURE
        )
        raise HTTPException(status_code=400, detail="Incorrect email or password")
    audit.emit("user.login.made", tenant_id="t", actor=Actor(type="user"), action="user:login")
    return {"access_token": user.token()}


# label: users.deactivate changes=yes covered=yes -- the service class records, two calls down
@router.post("/{user_id}/deactivate")
async def deactivate(user_id: Annotated[UUID, Path()], service: Annotated[UserService, Depends()]) -> Message:
    return await service.deactivate(user_id)


# label: users.reactivate changes=yes covered=no -- the service class records success only
@router.post("/{user_id}/reactivate")
async def reactivate(user_id: Annotated[UUID, Path()], service: Annotated[UserService, Depends()]) -> Message:
    return await service.reactivate(user_id)


# label: users.find changes=no covered=no -- a GET through the service class
@router.get("/find")
async def find(q: Annotated[str, Query()], service: Annotated[UserService, Depends()]) -> list[User]:
    return await service.find(q)


# label: users.last_seen changes=yes covered=no -- a GET that notes that the user was there
@router.get("/me")
def last_seen(session: SessionDep, current_user: CurrentUser) -> User:
    current_user.seen = True
    session.add(current_user)
    session.commit()
    return current_user
