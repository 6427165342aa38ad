"""Tables."""

from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass


class Incident(Base):
    __tablename__ = "incident"


class ExportJob(Base):
    __tablename__ = "export"


class Participant(Base):
    __tablename__ = "participant"
