"""What the operations port asks Cedar about."""

import pytest

from gateway.model import Route
from gateway.ops import actions
from gateway.snapshot import build_snapshot
from tests.builders import plane

ROUTES = [actions.STATUS, actions.METRICS, actions.METRICS_JSON, actions.EXCHANGE]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.id)
def test_every_action_is_in_the_schema(route: Route) -> None:
    """The schema declares the action for the gateway itself, and needs nothing the port does not give."""
    bundle = build_snapshot(plane.sources(1)).bundle
    assert route.resource_type in bundle.resource_types(route.action)
    needed = {name for name, attribute in bundle.context_type(route.action).items() if attribute.required}
    assert needed == {"now", "cross_tenant"}


def test_what_changes_something_is_durable() -> None:
    """Handing out a context is recorded before it is answered; looking is not held up by the disk."""
    assert [(route.id, route.durable) for route in ROUTES if route.changes] == [("context.exchange", True)]
