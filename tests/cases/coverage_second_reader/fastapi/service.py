"""What the views call."""

from .models import ExportJob, Incident, Participant


def get(*, db_session, incident_id: int):
    return db_session.query(Incident).filter(Incident.id == incident_id).one_or_none()


def get_all(*, db_session, filters):
    return db_session.query(Incident).filter_by(**filters).all()


def create(*, db_session, incident_in):
    incident = Incident(**incident_in.dict())
    db_session.add(incident)
    db_session.commit()
    return incident


def update(*, db_session, incident, incident_in):
    for field, value in incident_in.dict(exclude_unset=True).items():
        setattr(incident, field, value)
    db_session.commit()
    return incident


def delete(*, db_session, incident_id: int):
    db_session.query(Incident).filter(Incident.id == incident_id).delete()
    db_session.commit()


def assign(db_session, incident_id: int, user_id: int):
    db_session.query(Incident).filter(Incident.id == incident_id).update({"owner": user_id})
    db_session.commit()


async def add_participant(incident_id: int, email: str):
    await Participant.create(incident_id=incident_id, email=email)


def merge(db_session, incident_id: int, into: int):
    db_session.query(Participant).filter_by(incident_id=incident_id).update({"incident_id": into})
    db_session.commit()


def set_severity(db_session, incident_id: int, word: str):
    db_session.get(Incident, incident_id).severity = word
    db_session.commit()


def start_export(db_session, email: str):
    job = ExportJob(by=email)
    db_session.add(job)
    db_session.flush()
    db_session.commit()
    return job


def claim(db_session, name: str) -> bool:
    return db_session.execute("UPDATE jobs SET claimed = true WHERE name = :name", {"name": name}).rowcount == 1
