"""Models."""

from sqlmodel import SQLModel


class User(SQLModel, table=True):
    id: int

    def token(self) -> str:
        return "x"


class UserCreate(SQLModel):
    email: str


class UserUpdate(SQLModel):
    email: str | None


class Item(SQLModel, table=True):
    id: int


class ItemCreate(SQLModel):
    title: str


class ItemUpdate(SQLModel):
    title: str


class Message(SQLModel):
    message: str
