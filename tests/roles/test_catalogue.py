"""The catalogue: order, inclusion, foreign names and flags."""

from hypothesis import given
from hypothesis import strategies as st

from roles.catalogue import Catalogue
from roles.model import Grant, Role
from tests.builders.questions import real_catalogue

SMALL = Catalogue(
    (
        Role("Nobody", "", offered=False, anonymous=True),
        Role("Low", ""),
        Role("Mid", "", includes=("Low",)),
        Role("High", "", includes=("Mid",)),
        Role("Robot", "", offered=False, machine=True),
        Role("Root", "", offered=False, cross_tenant=True),
    ),
    {"low_agent": "Low", "robot_account": "Robot"},
)


def test_the_order_is_the_file_s() -> None:
    """Names and offered roles come from least to most."""
    assert SMALL.names == ("Nobody", "Low", "Mid", "High", "Robot", "Root")
    assert SMALL.offered == ("Low", "Mid", "High")
    assert SMALL.anonymous == "Nobody"


def test_names_are_resolved_exactly() -> None:
    """Ours and mapped ones count, each once, in order; the rest is dropped as it came."""
    grant = SMALL.resolve(["robot_account", "Low", "low_agent", "low", "LOW_AGENT", "", "low"])
    assert grant == Grant(("Low", "Robot"), ("low", "LOW_AGENT", ""))


def test_a_token_cannot_make_its_bearer_nobody() -> None:
    """The role of callers without a credential is dropped from a token like an unknown one."""
    assert SMALL.resolve(["Nobody"]) == Grant((), ("Nobody",))


def test_inclusion_goes_all_the_way_down() -> None:
    """A role brings what it includes and what that includes; an unknown name brings nothing."""
    assert SMALL.with_included(["High"]) == ("Low", "Mid", "High")
    assert SMALL.with_included(["Robot", "Mid", "?"]) == ("Low", "Mid", "Robot")
    assert SMALL.with_included([]) == ()


def test_code_asks_flags() -> None:
    """Whether any of a caller's roles is a machine's, or may cross tenants."""
    assert SMALL.any_machine(["Low", "Robot"])
    assert not SMALL.any_machine(["Low", "Root", "?"])
    assert SMALL.any_cross_tenant(["Root"])
    assert not SMALL.any_cross_tenant(["High", "Robot", "?"])


def test_one_role_by_name() -> None:
    """Exactly this name, or None."""
    found = SMALL.get("Mid")
    assert found is not None
    assert found.includes == ("Low",)
    assert SMALL.get("mid") is None
    assert SMALL.get("low_agent") is None


@given(st.lists(st.sampled_from([*real_catalogue().names, *real_catalogue().foreign, "x", "y"])))
def test_nothing_is_lost_and_nothing_is_added(names: list[str]) -> None:
    """Every name is granted or dropped, and a grant never has more than its names stand for."""
    catalogue = real_catalogue()
    grant = catalogue.resolve(names)
    meant = {catalogue.foreign.get(name, name) for name in names} - set(grant.dropped)
    assert set(grant.roles) == meant
    assert set(grant.dropped) == set(names) & {"x", "y", catalogue.anonymous}
    assert list(grant.roles) == [name for name in catalogue.names if name in meant]
