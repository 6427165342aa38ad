"""An order service: the plain forms."""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session

from audit.event import Actor, Outcome, Resource
from audit.producer import AuditProducer
from roles.security_context import context_rule

from .deps import get_audit, get_session
from .models import Order
from .repository import OrderRepository

app = FastAPI()
router = APIRouter(prefix="/orders")
Audit = Annotated[AuditProducer, Depends(get_audit)]
Db = Annotated[Session, Depends(get_session)]
WHO = {"tenant_id": "t", "actor": Actor(type="user", id="u"), "action": "order:write"}


# label: orders.list_orders changes=no covered=no -- a GET that selects
@router.get("")
def list_orders(db: Db):
    return db.execute(select(Order)).scalars().all()


# label: orders.create_order changes=yes covered=yes -- all of it is recorded
@router.post("")
def create_order(order: dict, db: Db, audit: Audit):
    with audit.recording("order.order.created", **WHO):
        row = Order(**order)
        db.add(row)
        db.commit()
    return row.id


# label: orders.update_order changes=yes covered=no -- commit can fail, nothing is emitted then
@router.put("/{order_id}")
def update_order(order_id: str, order: dict, db: Db, audit: Audit):
    db.execute(update(Order).where(Order.id == order_id).values(**order))
    db.commit()
    audit.emit("order.order.updated", **WHO)
    return {"ok": True}


# label: orders.cancel_order changes=yes covered=no -- answers 404 before the event
@router.post("/{order_id}/cancel")
def cancel_order(order_id: str, db: Db, audit: Audit):
    order = db.get(Order, order_id)
    if order is None:
        raise HTTPException(404)
    with audit.recording("order.order.cancelled", **WHO):
        order.status = "cancelled"
        db.commit()
    return {"ok": True}


# label: orders.delete_order changes=yes covered=yes -- emitted in both branches, whatever is raised
@router.delete("/{order_id}")
def delete_order(order_id: str, db: Db, audit: Audit):
    try:
        db.execute(delete(Order).where(Order.id == order_id))
        db.commit()
    except Exception:
        audit.emit("order.order.deleted", outcome=Outcome.FAILURE, **WHO)
        raise
    audit.emit("order.order.deleted", **WHO)
    return {"ok": True}


# label: orders.pay_order changes=yes covered=no -- only one kind of exception is recorded
@router.post("/{order_id}/pay")
def pay_order(order_id: str, db: Db, audit: Audit):
    try:
        db.execute(text("UPDATE orders SET paid = true WHERE id = :id"), {"id": order_id})
        db.commit()
    except ValueError:
        audit.emit("order.order.paid", outcome=Outcome.FAILURE, **WHO)
        raise
    audit.emit("order.order.paid", **WHO)


# label: orders.ship_order changes=yes covered=yes -- finally sees to every end
@router.post("/{order_id}/ship")
def ship_order(order_id: str, db: Db, audit: Audit):
    outcome = Outcome.FAILURE
    try:
        db.execute(insert(Order).values(id=order_id))
        db.commit()
        outcome = Outcome.SUCCESS
    finally:
        audit.emit("order.order.shipped", outcome=outcome, **WHO)


# label: orders.note_order changes=yes covered=no -- only if there is an audit
@router.patch("/{order_id}")
def note_order(order_id: str, db: Db, audit: Audit = None):
    db.execute(text("UPDATE orders SET note = 'x'"))
    db.commit()
    if audit:
        audit.emit("order.order.noted", **WHO)


# label: orders.search_orders changes=no covered=no -- a POST that says it reads
@router.post("/search")
@context_rule(reads=True)
def search_orders(query: dict, db: Db):
    return db.execute(select(Order)).scalars().all()


# label: orders.count_view changes=yes covered=no -- a GET that writes, and says nothing of it
@router.get("/{order_id}/view")
def count_view(order_id: str, db: Db):
    db.execute(text("UPDATE orders SET views = views + 1 WHERE id = :id"), {"id": order_id})
    db.commit()
    return {}


# label: orders.delete_draft changes=yes covered=no -- a GET with a verb in its name
@router.get("/drafts/{order_id}/delete")
def delete_draft(order_id: str, repo: Annotated[OrderRepository, Depends()]):
    repo.drop(order_id)


# label: orders.notify changes=yes covered=no -- emitted after the answer, perhaps never
@router.post("/{order_id}/notify")
def notify(order_id: str, tasks: BackgroundTasks, db: Db, audit: Audit):
    db.execute(text("INSERT INTO notices VALUES (:id)"), {"id": order_id})
    db.commit()
    tasks.add_task(audit.emit, "order.order.notified", **WHO)


# label: orders.approve_order changes=yes covered=no -- the coroutine is never awaited
@router.post("/{order_id}/approve")
async def approve_order(order_id: str, audit: Audit):
    audit.emit_durable("order.order.approved", **WHO)
    return {"ok": True}


# label: orders.reject_order changes=yes covered=yes -- durable before the change
@router.post("/{order_id}/reject")
async def reject_order(order_id: str, db: Db, audit: Audit):
    await audit.emit_durable("order.order.rejected", **WHO)
    db.execute(text("UPDATE orders SET state = 'rejected'"))
    db.commit()
    return {"ok": True}


# label: orders.import_orders changes=yes covered=no -- an empty list is not recorded
@router.post("/import")
def import_orders(rows: list, repo: Annotated[OrderRepository, Depends()], audit: Audit):
    for row in rows:
        with audit.recording("order.order.imported", **WHO):
            repo.put(row)
    return {"count": len(rows)}


# label: orders.swallow changes=yes covered=no -- the failed change is answered with 200 and no event
@router.post("/swallow")
def swallow(db: Db, audit: Audit):
    try:
        db.commit()
        audit.emit("order.order.swallowed", **WHO)
    except Exception:
        pass
    return {"ok": True}


# label: orders.tag_order changes=yes covered=yes -- match, with an event in each case
@router.post("/{order_id}/tag")
def tag_order(order_id: str, tag: str, audit: Audit):
    match tag:
        case "urgent":
            audit.emit("order.order.tagged", **WHO)
        case _:
            audit.emit("order.order.untagged", **WHO)
    return {"ok": True}


# label: orders.sort_order changes=yes covered=no -- match without a last case
@router.post("/{order_id}/sort")
def sort_order(order_id: str, by: str, audit: Audit):
    match by:
        case "date":
            audit.emit("order.order.sorted", **WHO)
        case "price":
            audit.emit("order.order.sorted", **WHO)
    return {"ok": True}


# label: orders.health changes=no covered=no -- reads
@app.get("/health")
def health():
    seen = set()
    seen.add("ok")
    options = {}
    options.update(a=1)
    return {"status": "ok"}



# label: orders.ping changes=yes covered=ignored -- a person says why
@app.post("/ping")  # audit:ignore a counter of the load balancer, nobody's data
def ping():
    return {"pong": True}



# label: orders.pong changes=yes covered=no -- no reason is given
@app.post("/pong")  # audit:ignore
def pong():
    return {"ping": True}


app.include_router(router, prefix="/v1")
