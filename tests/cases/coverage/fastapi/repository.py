"""Where orders are kept."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from .models import Order


class OrderRepository:
    def __init__(self, session: Session):
        self.session = session

    def find(self, order_id):
        return self.session.execute(select(Order)).scalar_one()

    def put(self, row):
        self._store(row)

    def drop(self, order_id):
        self._erase(order_id)

    def touch(self, order_id):
        return self.find(order_id)

    def _store(self, row):
        self.session.add(row)
        self.session.flush()

    def _erase(self, order_id):
        self.session.delete(self.find(order_id))


class Service:
    def __init__(self, repo: OrderRepository):
        self.repo = repo

    def accept(self, row):
        self.repo.put(row)

    def look(self, order_id):
        return self.repo.touch(order_id)
