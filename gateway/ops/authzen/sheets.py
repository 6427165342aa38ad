"""What questions are made with beside the snapshot: names, entities and, where configured, policies of their own. Pure.

Built whole from files that were read together with the gateway's other sources, and in force together with them.
"""

import hashlib
from collections.abc import Mapping
from typing import Final, Self

import msgspec

from gateway.snapshot import Snapshot
from policies.bundle import Bundle
from policies.engine import Engine
from policies.entity_book import EntityBook, mentioned, read_entities
from policies.errors import Finding, PolicyErrors
from policies.load import SourceText, build_bundle
from policies.memo import Memo
from policies.model import Answer, Entity, EntityUid, Question
from policies.schema import Schema
from roles.model import NO_TENANT, is_tenant

USER: Final = "User"
ROLE: Final = "Role"


class Names(msgspec.Struct, frozen=True):
    """What callers call things, to what the schema calls them."""

    types: Mapping[str, str] = {}
    actions: Mapping[str, str] = {}

    def type_of(self, name: str) -> str:
        """The schema's name for a type."""
        return self.types.get(name, name)

    def action_of(self, name: str) -> str:
        """The schema's name for an action."""
        return self.actions.get(name, name)


class Sheets:
    """Names, entities, and policies of their own or none.

    Attributes:
        version: Of everything in it.
        names: What callers call things.
        book: What is known of entities.
        bundle: The policies of its own; None where those in force decide.
    """

    def __init__(
        self,
        names: Names,
        book: EntityBook,
        own: Bundle | None = None,
        *,
        strict: bool = False,
    ) -> None:
        self.names = names
        self.book = book
        self.bundle = own
        self._memo = Memo(Engine(own, strict=strict)) if own is not None else None
        self._court: Court | None = None
        parts = (names, book.version, own.version if own is not None else "", strict)
        self.version = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]

    @classmethod
    def build(
        cls,
        names: Names,
        live_schema: SourceText,
        own: tuple[list[SourceText], SourceText] | None,
        entities: SourceText | None,
        *,
        strict: bool,
    ) -> Self:
        """Check and build.

        Args:
            names: What callers call things.
            live_schema: Of the policies in force.
            own: Policy files and schema of its own, where there are any.
            entities: The file of entities, where there is one.
            strict: Whether any policy error denies.

        Raises:
            PolicyErrors: With file and reason, one finding or more.
        """
        bundle = build_bundle(*own) if own is not None else None
        schema = bundle.schema if bundle is not None else Schema(*live_schema)
        _check_names(names, schema)
        book = EntityBook()
        if entities is not None:
            book = read_entities(*entities, schema)
            if bundle is None:
                _check_live(entities[0], book)
        return cls(names, book, bundle, strict=strict)

    def court(self, snapshot: Snapshot) -> "Court":
        """Who decides now: with its own policies, or with those of the snapshot."""
        memo = self._memo or snapshot.decisions
        if self._court is None or self._court.memo is not memo:
            self._court = Court(memo, self.book)
        return self._court


class Court:
    """Policies with an engine that remembers, and the entities that they name themselves.

    Attributes:
        memo: Decides.
        bundle: What by.
    """

    def __init__(self, memo: Memo, book: EntityBook) -> None:
        self.memo = memo
        self.bundle = memo.engine.bundle
        self._book = book
        self._named: dict[EntityUid, tuple[EntityUid, ...]] = {}
        self._actions: dict[str, EntityUid | None] = {}
        for uid in self.bundle.schema.actions:
            for name in (uid.id, f"{uid.type.removesuffix('Action')}{uid.id}"):
                # Two namespaces may have actions of one name; then only the full one says which.
                self._actions[name] = uid if self._actions.get(name, uid) == uid else None

    def action(self, name: str) -> EntityUid | None:
        """The action of a name, `read` or `Shop::read`; None where there is none, or more than one."""
        return self._actions.get(name)

    def actions(self, principal_type: str, resource_type: str, names: Names) -> list[str]:
        """What callers call the actions that somebody of a type may be asked about on something of another, sorted."""
        return sorted(
            called
            for uid, applies in self.bundle.schema.actions.items()
            if principal_type in applies.principal_types and resource_type in applies.resource_types
            for called in self.called(uid, names)
        )

    def called(self, action: EntityUid, names: Names) -> list[str]:
        """Every name callers have for an action: those that lead to it, else its own, if that leads nowhere else."""
        given = [name for name, meant in names.actions.items() if self.action(meant) == action]
        own = action.id if self.action(action.id) == action else f"{action.type.removesuffix('Action')}{action.id}"
        return given or [own][: own not in names.actions]

    def around(self, action: EntityUid, roots: list[EntityUid]) -> dict[EntityUid, Entity]:
        """What the book knows around these names, and around those that the action's policies name."""
        if not self._book.entities:
            return {}
        if action not in self._named:
            trees = [policy.tree for policy in self.bundle.slice(action)]
            self._named[action] = tuple(uid for uid in mentioned(trees) if uid in self._book.entities)
        return self._book.around([*roots, *self._named[action]])

    def decide(self, action: EntityUid, question: Question) -> tuple[Answer, bool]:
        """The answer, and whether it was remembered.

        Raises:
            NoDecision: The question does not fit the schema.
        """
        if action.type == "Action":
            return self.memo.decide(question)
        return self.memo.engine.decide_action(action, question), False


def _check_names(names: Names, schema: Schema) -> None:
    """A name that leads nowhere would make every question a deny, and nobody would know why."""
    actions = {uid.id for uid in schema.actions}
    actions |= {f"{uid.type.removesuffix('Action')}{uid.id}" for uid in schema.actions}
    findings = [
        Finding(f"{table}.{name}", 0, 0, f"the schema declares no {what} `{meant}`")
        for table, what, given, there in (
            ("types", "entity type", names.types, schema.entities.keys()),
            ("actions", "action", names.actions, actions),
        )
        for name, meant in given.items()
        if meant not in there
    ]
    if findings:
        raise PolicyErrors(findings)


def _check_live(file: str, book: EntityBook) -> None:
    """What an entity file may not say beside the gateway's own policies.

    Which role comes with which is the catalogue's business, and a principal's id says who it is: a file that said
    otherwise would have the decision API answer what the proxy does not.
    """
    findings = [Finding(file, 0, 0, f'{ROLE}::"{name}": roles stand in the catalogue') for name in book.ids(ROLE)]
    for name in book.ids(USER):
        attrs = book.entities[EntityUid(USER, name)].attrs
        if split_id(name) != tuple(attrs.get(part) for part in ("issuer", "tenant", "sub")):
            findings.append(Finding(file, 0, 0, f'{USER}::"{name}": the id is not `<issuer>/<tenant>/<sub>`'))
    if findings:
        raise PolicyErrors(findings)


def split_id(text: str) -> tuple[str, str, str] | None:
    """Issuer, tenant and sub of a principal's id; None where it is none. A sub may hold slashes, the others cannot."""
    issuer, _, rest = text.partition("/")
    tenant, _, sub = rest.partition("/")
    if not issuer or not sub or not (is_tenant(tenant) or tenant == NO_TENANT):
        return None
    return issuer, tenant, sub
