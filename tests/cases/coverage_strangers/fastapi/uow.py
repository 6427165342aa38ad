"""Units of work and repositories, as a service layer shares them."""

from contextlib import asynccontextmanager

from sqlalchemy import delete, select

from lychgate.audit import AuditProducer

from .tables import Project, Session

audit = AuditProducer(None, service="projects")


class ProjectRepository:
    """Rows of one table."""

    def __init__(self, session):
        self.session = session

    async def by_slug(self, slug):
        return (await self.session.execute(select(Project).where(Project.slug == slug))).scalar_one_or_none()

    async def put(self, project):
        self.session.add(project)
        await self.session.flush()
        return project

    async def remove(self, slug):
        await self.session.execute(delete(Project).where(Project.slug == slug))


class UnitOfWork:
    """One transaction and its repositories."""

    async def __aenter__(self):
        self.session = Session()
        self.projects = ProjectRepository(self.session)
        return self

    async def __aexit__(self, kind, exc, trace):
        if kind is None:
            await self.session.commit()
        else:
            await self.session.rollback()
        await self.session.close()


@asynccontextmanager
async def accounted(name, **more):
    """An event whatever happens inside."""
    try:
        yield
    except BaseException as exc:
        audit.emit(name, outcome="failure", error=type(exc).__name__, **more)
        raise
    audit.emit(name, outcome="success", **more)
