"""Roles resolved anew."""

import msgspec

from audit.codec import encode
from audit.event import Actor
from lychgate.replay.recast import Recast
from policies.replay.record import Recorded, read
from roles.load import load_catalogue
from tests.builders.questions import ROOT, real_catalogue
from tests.builders.recorded import decided

TEXT = (ROOT / "roles/roles.toml").read_text(encoding="utf-8")


def recorded(role: str, *dropped: str, actor: Actor | None = None) -> Recorded:
    """A decision of somebody with this role."""
    event = decided(role, "order:list", details={"dropped_roles": dropped} if dropped else None)
    event = msgspec.structs.replace(event, actor=actor) if actor is not None else event
    found = read(encode(event))
    assert isinstance(found, Recorded)
    return found


def roles(found: Recorded) -> set[str]:
    """What Cedar is told."""
    assert found.question is not None
    return {parent.id for parent in found.question.entities[0].parents}


def test_the_same_catalogue_changes_nothing() -> None:
    """Every role there is, nobody's included."""
    recast = Recast(real_catalogue())
    for name in real_catalogue().names:
        actor = Actor(type="anonymous", roles=(name,)) if name == real_catalogue().anonymous else None
        found = recorded(name, actor=actor)
        assert recast(found) == found, name


def test_another_catalogue_gives_other_roles() -> None:
    """What a role includes, and names that meant nothing: both are taken from the candidate's catalogue."""
    assert "Cashier" not in roles(recorded("Support"))
    wider = TEXT.replace('name = "Support"', 'name = "Support"\nincludes = ["Cashier"]', 1)
    assert wider != TEXT
    assert roles(Recast(load_catalogue(wider, "roles.toml"))(recorded("Support"))) == {"Support", "Cashier"}
    assert roles(Recast(real_catalogue())(recorded("Support", "no-such-role"))) == {"Support"}
    foreign = next(iter(real_catalogue().foreign.items()))
    assert foreign[1] in roles(Recast(real_catalogue())(recorded("Support", foreign[0])))


def test_a_question_that_is_gone_stays_gone() -> None:
    """There is nothing to change."""
    found = msgspec.structs.replace(recorded("Support"), question=None)
    assert Recast(real_catalogue())(found) is found
