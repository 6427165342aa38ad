"""Bodies."""

from pydantic import BaseModel


class IncidentCreate(BaseModel):
    title: str


class IncidentUpdate(BaseModel):
    title: str | None = None


class IncidentRead(BaseModel):
    id: int
