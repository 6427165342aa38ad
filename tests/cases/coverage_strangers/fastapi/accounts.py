"""In the manner of an account service: services as classes, protocols, dependency functions that record."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, HTTPException, status

from .tables import Session
from .uow import audit

router = APIRouter()


class Mailer(Protocol):
    """Sends mail."""

    async def send(self, to: str, text: str) -> None: ...


class AccountService:
    """The rules about accounts."""

    def __init__(self, session: Annotated[Session, Depends()]):
        self._session = session

    async def find(self, account_id):
        return await self._session.get("Account", account_id)

    async def deactivate(self, account_id):
        account = await self.find(account_id)
        if account is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND)
        account.active = False
        await self._session.commit()
        return account

    async def change_email(self, account_id, email):
        with audit.recording("account.email.changed", action="account:update") as record:
            account = await self.find(account_id)
            if account is None:
                raise HTTPException(status.HTTP_404_NOT_FOUND)
            record.details = {"account": account_id}
            account.email = email
            await self._session.commit()
            return account


Accounts = Annotated[AccountService, Depends()]


async def told():
    """Tells of whatever the endpoint does."""
    try:
        yield
    except Exception:
        audit.emit("account.account.touched", outcome="failure")
        raise
    else:
        audit.emit("account.account.touched")


# label: accounts.whoami changes=no covered=no -- reads
@router.get("/me")
async def whoami(accounts: Accounts):
    return await accounts.find("me")


# label: accounts.deactivate changes=yes covered=no -- the service's method tells nobody
@router.post("/accounts/{account_id}/deactivate")
async def deactivate(account_id: str, accounts: Accounts):
    return await accounts.deactivate(account_id)


# label: accounts.set_email changes=yes covered=yes -- the service's method records all of itself
@router.put("/accounts/{account_id}/email")
async def set_email(account_id: str, email: str, accounts: Accounts):
    return await accounts.change_email(account_id, email)


# label: accounts.lock changes=yes covered=yes -- a dependency that yields tells either way
@router.post("/accounts/{account_id}/lock", dependencies=[Depends(told)])
async def lock(account_id: str, accounts: Accounts):
    return await accounts.deactivate(account_id)


# label: accounts.invite changes=yes covered=no -- the mail can fail after the row is there, before the event
@router.post("/invitations")
async def invite(email: str, session: Annotated[Session, Depends()], mailer: Annotated[Mailer, Depends()]):
    session.add({"email": email})
    await session.commit()
    await mailer.send(email, "welcome")
    audit.emit("account.invitation.sent")
    return {"email": email}


# label: accounts.login changes=yes covered=yes -- each of three answers is told of
@router.post("/login")
async def login(name: str, password: str, accounts: Accounts):
    account = await accounts.find(name)
    if account is None:
        audit.emit("account.login.failed", reason="unknown")
        raise HTTPException(401)
    if not account.verify(password):
        audit.emit("account.login.failed", reason="password")
        raise HTTPException(401)
    audit.emit("account.login.succeeded")
    return {"token": account.token}
