"""What a caller asks in, Cedar's question out, and its answer. Pure but for the memo.

What a request says of a subject or resource is its caller's word, and its callers are machines of the platform. Where
the entity file says something else of the same attribute, the file holds (ADR 0135). What neither says is not made up:
Cedar then refuses the question, and the answer is a deny.
"""

import time
from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.identify.claims import granted, is_id
from gateway.ops.authzen.message import Evaluation, Party
from gateway.ops.authzen.sheets import ROLE, USER, Court, Sheets, split_id
from gateway.snapshot import Snapshot
from policies.entity_book import mentioned
from policies.errors import NoDecision
from policies.model import Answer, Entity, EntityUid, Json, Question
from policies.schema_reader import ContextAttribute, EntityType
from policies.typed import declared
from roles.model import Principal, is_tenant

_MICROSECONDS: Final = 1_000_000
_REASON_CHARS: Final = 256
_LONG: Final = range(-(2**63), 2**63)


class Unanswerable(Exception):
    """A question that cannot be put to Cedar; it is answered as a deny.

    Attributes:
        reason: For caller and record; names fields, never their values.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason[:_REASON_CHARS]


class Asked(msgspec.Struct, kw_only=True):
    """One question and what became of it.

    Attributes:
        action: The schema's name for the action; None while nobody knows it.
        question: As put to Cedar.
        answer: None where there is none.
        memo_hit: Whether it was remembered.
        took_us: How long Cedar took.
        overruled: What the request said and the entity file says otherwise, `subject.role`.
        dropped_roles: Role names that mean nothing here.
        problem: Why there is no answer.
    """

    action: EntityUid | None = None
    question: Question | None = None
    answer: Answer | None = None
    memo_hit: bool = False
    took_us: int = 0
    overruled: tuple[str, ...] = ()
    dropped_roles: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def allows(self) -> bool:
        """Whether it is an allow."""
        return self.answer is not None and self.answer.allows

    @property
    def word(self) -> str:
        """`allow`, `deny` or `error`."""
        return "error" if self.answer is None else self.answer.effect.value


class Asking:
    """Asks on behalf of one request: the same policies, entities and time for all its questions.

    Args:
        sheets: What questions are made with.
        snapshot: What is in force.
        now: The request's time, RFC 3339 in UTC with microseconds.
    """

    def __init__(self, sheets: Sheets, snapshot: Snapshot, now: str) -> None:
        self._names = sheets.names
        self._book = sheets.book
        self._live = sheets.bundle is None
        self._snapshot = snapshot
        self._now: Json = {"__extn": {"fn": "datetime", "arg": now[:23] + "Z"}}
        self.court: Court = sheets.court(snapshot)

    def ask(self, evaluation: Evaluation) -> Asked:
        """Put a question to Cedar; whatever is wrong with it stands in what comes back."""
        asked = Asked()
        try:
            action, question = self._question(evaluation, asked)
            started = time.perf_counter()
            asked.answer, asked.memo_hit = self.court.decide(action, question)
            asked.took_us = int((time.perf_counter() - started) * _MICROSECONDS)
        except Unanswerable as exc:
            asked.problem = exc.reason
        except NoDecision as exc:
            asked.problem = _unwritable(asked.question) or f"the question does not fit the schema: {exc.reason}"
        return asked

    def candidates(self, evaluation: Evaluation, *, subjects: bool) -> tuple[str, ...]:
        """The ids a search goes through, sorted: of every entity in the file that has the type it looks for."""
        party = evaluation.subject if subjects else evaluation.resource
        return self._book.ids(self._names.type_of(party.type))

    def actions(self, evaluation: Evaluation) -> tuple[str, ...]:
        """The names of the actions a search goes through, sorted, as callers have them."""
        subject, resource = (self._names.type_of(party.type) for party in (evaluation.subject, evaluation.resource))
        return tuple(self.court.actions(subject, resource, self._names))

    def _question(self, evaluation: Evaluation, asked: Asked) -> tuple[EntityUid, Question]:
        action = asked.action = self.court.action(self._names.action_of(evaluation.action.name))
        if action is None:
            raise Unanswerable("action.name: the schema declares no such action, or several")
        subject = EntityUid(self._names.type_of(evaluation.subject.type), evaluation.subject.id)
        resource = EntityUid(self._names.type_of(evaluation.resource.type), evaluation.resource.id)
        if self._live and subject.type == USER:
            principal = self._snapshot.entities(self._principal(evaluation.subject, subject, asked))
        else:
            principal = (self._entity(evaluation.subject, subject, "subject", asked),)
        parties = {entity.uid: entity for entity in principal}
        if resource in parties:
            thing = parties[resource]  # somebody is asked about themselves
        else:
            thing = parties[resource] = self._entity(evaluation.resource, resource, "resource", asked)
        context = self._context(evaluation, action)
        said = [*mentioned(principal[0].attrs), *mentioned(thing.attrs), *mentioned(context)]
        above = [*principal[0].parents, *thing.parents]
        around = self.court.around(action, [subject, resource, *above, *said])
        others = tuple(entity for uid, entity in around.items() if uid not in parties)
        entities = (*parties.values(), *others)
        question = asked.question = Question(subject, action.id, resource, context, entities)
        return action, question

    def _entity(self, party: Party, uid: EntityUid, place: str, asked: Asked) -> Entity:
        """What is known of a party: the file's word, then the caller's. What it is in only the file can say."""
        attributes: EntityType = self.court.bundle.schema.entities.get(uid.type, {})
        said = declared(party.properties, attributes)
        known = self._book.entities.get(uid)
        if known is None:
            return Entity(uid, said)
        self._overrule(place, said, known.attrs, asked)
        return Entity(uid, {**said, **known.attrs}, known.parents)

    def _principal(self, party: Party, uid: EntityUid, asked: Asked) -> Principal:
        """The gateway's own principal, such as a token of the same issuer could have made it.

        Raises:
            Unanswerable: No token could.
        """
        parts = split_id(uid.id)
        if parts is None:
            raise Unanswerable("subject.id: not <issuer>/<tenant>/<sub>")
        for name, part in zip(("issuer", "tenant", "sub"), parts, strict=True):
            if party.properties.get(name, part) != part:
                raise Unanswerable(f"subject.properties.{name}: not what subject.id says")
        roles = self._roles(party, uid, asked)
        nobody = self._snapshot.nobody.principal
        if uid == nobody.uid:
            if not set(roles) <= set(nobody.roles):
                raise Unanswerable("subject.properties.roles: not a role of a caller without a credential")
            return nobody
        issuer, tenant, sub = parts
        trusted = self._snapshot.keyring.trust_of(issuer)
        if trusted is None or not is_tenant(tenant) or not trusted.may_speak_for(tenant) or not is_id(sub):
            raise Unanswerable("subject.id: not one that an issuer here may assert")
        grant = granted(roles, tenant, trusted, self._snapshot.catalogue)
        if grant is None:
            raise Unanswerable("subject.properties.roles: not one that this issuer may assert")
        asked.dropped_roles = grant.dropped
        return Principal(issuer, tenant, sub, grant.roles)

    def _roles(self, party: Party, uid: EntityUid, asked: Asked) -> list[str]:
        """The names of a subject's roles: the file's, where it has the subject, else the caller's."""
        said = party.properties.get("roles", [])
        if not isinstance(said, list) or not all(isinstance(name, str) for name in said):
            raise Unanswerable("subject.properties.roles: not an array of strings")
        names = [name for name in said if isinstance(name, str)]
        known = self._book.entities.get(uid)
        if known is None:
            return names
        stated = [parent.id for parent in known.parents if parent.type == ROLE]
        resolve = self._snapshot.catalogue.resolve
        if "roles" in party.properties and resolve(names).roles != resolve(stated).roles:
            asked.overruled += ("subject.roles",)
        return stated

    def _context(self, evaluation: Evaluation, action: EntityUid) -> dict[str, Json]:
        """The action's context: what the request says in `context` and of the action, as far as the schema knows it."""
        attributes: Mapping[str, ContextAttribute] = self.court.bundle.schema.actions[action].context
        context = declared(evaluation.context, attributes)
        for name, value in declared(evaluation.action.properties, attributes).items():
            if name in context and context[name] != value:
                raise Unanswerable(f"context.{name}: action.properties says otherwise")
            context[name] = value
        if self._live:
            ours = {"now": self._now, "cross_tenant": self._snapshot.cross_tenant}
            context.update({name: value for name, value in ours.items() if name in attributes})
        elif "now" in attributes and attributes["now"].type == "datetime":
            context.setdefault("now", self._now)
        return context

    @staticmethod
    def _overrule(place: str, said: Mapping[str, Json], known: Mapping[str, Json], asked: Asked) -> None:
        differing = [f"{place}.{name}" for name, value in said.items() if name in known and known[name] != value]
        asked.overruled += tuple(sorted(differing))


def _unwritable(question: Question | None) -> str | None:
    """Where a question has a value that Cedar has no type for, in words a caller understands; None without one."""
    if question is None:
        return None
    parties = {entity.uid: entity.attrs for entity in question.entities}
    places: list[tuple[str, object]] = [
        ("subject.properties", parties.get(question.principal)),
        ("resource.properties", parties.get(question.resource)),
        ("context", question.context),
    ]
    while places:
        place, value = places.pop(0)
        if isinstance(value, Mapping):
            places.extend((f"{place}.{name}", inner) for name, inner in value.items())
        elif isinstance(value, list):
            places.extend((place, inner) for inner in value)
        elif value is None or isinstance(value, float) or (isinstance(value, int) and value not in _LONG):
            return f"{place[:_REASON_CHARS]}: null, a fraction or a number beyond 64 bits, for which Cedar has no type"
    return None
