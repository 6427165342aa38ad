"""In the manner of an incident tool: flows in a service module, events by background tasks and by hand."""

import asyncio
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException, Response, status

from lychgate.audit import AuditProducer

from . import service
from .deps import CurrentUser, DbSession, audit_scope, get_audit
from .schemas import IncidentCreate, IncidentRead, IncidentUpdate

router = APIRouter(prefix="/incidents")
admin = APIRouter(prefix="/admin", dependencies=[Depends(audit_scope)])
Audit = Annotated[AuditProducer, Depends(get_audit)]


# label: incidents.create_incident changes=yes covered=no -- the event is a background task: it is not run when the answer fails
@router.post("", response_model=IncidentRead)
def create_incident(
    db_session: DbSession, incident_in: IncidentCreate, current_user: CurrentUser, background_tasks: BackgroundTasks,
    audit: Audit,
):
    incident = service.create(db_session=db_session, incident_in=incident_in)
    background_tasks.add_task(audit.emit, "incident.incident.opened", actor=current_user.email)
    return incident


# label: incidents.update_incident changes=yes covered=yes -- try with except for all and else, each emits by a helper
@router.put("/{incident_id}", response_model=IncidentRead)
def update_incident(db_session: DbSession, incident_id: int, incident_in: IncidentUpdate, audit: Audit):
    try:
        incident = service.get(db_session=db_session, incident_id=incident_id)
        if not incident:
            raise HTTPException(status.HTTP_404_NOT_FOUND, detail=[{"msg": "An incident with this id does not exist."}])
        incident = service.update(db_session=db_session, incident=incident, incident_in=incident_in)
    except Exception as exc:
        _failed(audit, "incident.incident.updated", exc)
        raise
    else:
        audit.emit("incident.incident.updated", resource_id=str(incident_id))
    return incident


# label: incidents.close_incident changes=yes covered=no -- an HTTPException is raised again without an event
@router.post("/{incident_id}/close")
def close_incident(db_session: DbSession, incident_id: int, audit: Audit):
    try:
        incident = service.get(db_session=db_session, incident_id=incident_id)
        if incident is None:
            raise HTTPException(404)
        incident.status = "closed"
        db_session.commit()
    except HTTPException:
        raise
    except Exception as exc:
        _failed(audit, "incident.incident.closed", exc)
        raise
    audit.emit("incident.incident.closed", resource_id=str(incident_id))
    return {"ok": True}


# label: incidents.bulk_assign changes=yes covered=no -- an empty list emits nothing
@router.patch("/assign")
def bulk_assign(db_session: DbSession, ids: list[int], user_id: int, audit: Audit):
    for incident_id in [*ids]:
        audit.emit("incident.incident.assigned", resource_id=str(incident_id))
        service.assign(db_session, incident_id, user_id)
    return {"assigned": len(ids)}


# label: incidents.join_incident changes=yes covered=no -- gather swallows the emitter's failure, and the writer's
@router.post("/{incident_id}/join")
async def join_incident(incident_id: int, current_user: CurrentUser, audit: Audit):
    await asyncio.gather(
        service.add_participant(incident_id, current_user.email),
        audit.emit_durable("incident.participant.joined", resource_id=str(incident_id)),
        return_exceptions=True,
    )
    return {"joined": True}


# label: incidents.merge_incidents changes=yes covered=yes -- the recorder is entered through an exit stack
@router.post("/{incident_id}/merge")
async def merge_incidents(db_session: DbSession, incident_id: int, into: int, audit: Audit):
    async with AsyncExitStack() as stack:
        stack.enter_context(audit.recording("incident.incident.merged", resource_id=str(incident_id)))
        service.merge(db_session, incident_id, into)
        return {"into": into}


# label: incidents.set_severity changes=yes covered=no -- an unknown word is refused before anything is emitted
@router.post("/{incident_id}/severity/{word}")
def set_severity(db_session: DbSession, incident_id: int, word: str, audit: Audit):
    match word:
        case "low" | "high":
            with audit.recording("incident.severity.set", resource_id=str(incident_id)):
                service.set_severity(db_session, incident_id, word)
        case _:
            raise HTTPException(422, "no such severity")
    return {"severity": word}


# label: incidents.export_incidents changes=yes covered=no -- a GET that leaves a row in the table of jobs, with no event
@router.get("/export")
def export_incidents(db_session: DbSession, current_user: CurrentUser):
    job = service.start_export(db_session, current_user.email)
    return Response(status_code=202, headers={"Location": f"/jobs/{job.id}"})


# label: incidents.list_incidents changes=no covered=yes -- reads
@router.get("", response_model=list[IncidentRead])
def list_incidents(db_session: DbSession, page: int = 1):
    filters = {}
    filters.update(page=page)
    return service.get_all(db_session=db_session, filters=filters)


# label: incidents.purge changes=yes covered=yes -- the router's dependency records around every handler of it
@admin.delete("/incidents/{incident_id}", status_code=204)
def purge(db_session: DbSession, incident_id: int):
    service.delete(db_session=db_session, incident_id=incident_id)


# label: incidents.reindex changes=yes covered=yes -- a dependency of its own records around it
@router.post("/reindex", dependencies=[Depends(audit_scope)])
def reindex(db_session: DbSession):
    if not service.claim(db_session, "reindex"):
        return Response(status_code=409)
    return {"queued": True}


def _failed(audit: AuditProducer, name: str, exc: Exception) -> None:
    audit.emit(name, outcome="failure", severity="error", details={"error": type(exc).__name__})
