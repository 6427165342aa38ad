"""Values between the stages."""

import pytest

from gateway.model import Attribute, Identity, Peer, Route, Source
from roles.model import Principal
from tests.builders.heads import make_route


@pytest.mark.parametrize(
    ("attributes", "pointers", "reads"),
    [
        ((), (), False),
        ((Attribute("a", Source.QUERY, "a", "String"), Attribute("b", Source.HEADER, "b", "String")), (), False),
        ((Attribute("a", Source.PATH, "a", "String"), Attribute("b", Source.BODY, "", "String")), (), True),
        ((), ("/tenant_id",), True),
    ],
)
def test_a_route_reads_the_body_when_anything_is_taken_from_it(
    attributes: tuple[Attribute, ...], pointers: tuple[str, ...], reads: bool
) -> None:
    """A value for the policies, or a tenant."""
    assert make_route(attributes=attributes, tenant_pointers=pointers).reads_body is reads


@pytest.mark.parametrize(
    "value",
    [Peer("::1", 1), Identity(Principal("i", "t", "s", ()), "jwt"), make_route()],
    ids=["peer", "identity", "route"],
)
def test_what_is_shared_is_never_changed(value: Peer | Identity | Route) -> None:
    """Requests share these; a stage that changed one would change another's request."""
    for name in type(value).__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(value, name, None)
