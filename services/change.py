"""A change of a tenant's data, first staged, then made; and how it is told in the audit.

Pure but for the tables it is made in. Filled by endpoints, recorded and made by `services.desk`.
"""

from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar

from audit import event as audit_event
from audit.registry.typed import TypedEvent
from services.records import Record
from services.store import R, Table

Detail: TypeAlias = str | int | bool
E_contra = TypeVar("E_contra", bound=TypedEvent, contravariant=True)


class Change(Generic[E_contra]):
    """What one request is about to alter, told as an event of one type.

    Attributes:
        details: What the record says beside the changed values, also if the change fails: small, flat, free of secrets.
        subject: The id of the first record that is created, replaced or deleted.
        values: The changed values, one a top-level field, with the field's JSON pointer.
        crud: What it does to its subject, one of c r u d; None while it does nothing.
    """

    def __init__(self, crud: str | None = None) -> None:
        self.crud = crud
        self.details: dict[str, Detail] = {}
        self.subject: str | None = None
        self.values: list[audit_event.Change] = []
        self._staged: list[Callable[[], None]] = []

    def tell(self, event: E_contra) -> None:
        """Say what the record says beside the changed values."""
        self.details.update(event.details() or {})

    def create(self, table: Table[R], row: R) -> None:
        """A new record."""
        self._tell("c", table.key(row), None, row)
        self._staged.append(lambda: table.put(row))

    def replace(self, table: Table[R], old: R, new: R) -> None:
        """A record with other values."""
        self._tell("u", table.key(new), old, new)
        self._staged.append(lambda: table.put(new))

    def delete(self, table: Table[R], row: R) -> None:
        """A record that goes."""
        self._tell("d", table.key(row), row, None)
        self._staged.append(lambda: table.remove(row))

    def beside(self, step: Callable[[], None]) -> None:
        """Something done along with the change that the record need not tell: an entry in a ledger or a log."""
        self._staged.append(step)

    def make(self) -> None:
        """Do all that is staged."""
        for step in self._staged:
            step()

    def _tell(self, crud: str, key: str, old: Record | None, new: Record | None) -> None:
        if self.subject is None:
            self.subject = key
            self.crud = crud
        self.values.extend(differences(old, new))


def differences(old: Record | None, new: Record | None) -> list[audit_event.Change]:
    """The top-level fields in which two states of a record differ, in the model's order; an empty field is none.

    Args:
        old: The state before; None for a record that is new.
        new: The state after; None for one that goes.
    """
    before = {} if old is None else old.model_dump(mode="json", exclude_none=True)
    after = {} if new is None else new.model_dump(mode="json", exclude_none=True)
    found = []
    for name in before | after:
        if name not in before:
            found.append(audit_event.Change(path=f"/{name}", op="add", new=after[name]))
        elif name not in after:
            found.append(audit_event.Change(path=f"/{name}", op="remove", old=before[name]))
        elif before[name] != after[name]:
            found.append(audit_event.Change(path=f"/{name}", op="replace", old=before[name], new=after[name]))
    return found
