"""The tables."""

from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Session = async_sessionmaker()


class Base(DeclarativeBase):
    """All tables."""


class Project(Base):
    """One project."""

    __tablename__ = "projects"
    slug: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    archived: Mapped[bool]
