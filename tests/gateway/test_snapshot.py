"""Everything a decision depends on: built whole or not at all, and its memos go with it."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway import snapshot as module
from gateway.errors import NotIdentified
from gateway.identify.refusal import TokenRefused
from gateway.route.load import RoutesError
from gateway.snapshot import KeptContexts, Snapshot, build_snapshot
from gateway.sources import ContextSource, SourceFile, Sources
from gateway.wire.websocket import Origins
from policies.errors import PolicyErrors
from roles.errors import CatalogueError, ContextUnusable
from roles.model import Principal
from tests.builders import plane, tokens

GOOD = plane.sources(9002)
AUTH = tokens.bearer(tokens.mint(roles=["Cashier"]))


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """The real policies and roles."""
    return build_snapshot(GOOD)


def _with(**changes: Any) -> Sources:
    return msgspec.structs.replace(GOOD, **changes)


def test_a_snapshot_is_all_of_its_sources(snapshot: Snapshot) -> None:
    """Versions, routes, services, and who nobody is."""
    assert snapshot.version == GOOD.version
    assert snapshot.services == {service.name: service for service in GOOD.services}
    assert {route.id for route in snapshot.routes.routes} >= {"order.list", "payment.refund"}
    assert not [route.id for route in snapshot.routes.routes if route.problem]
    assert (snapshot.nobody.token_sha256, snapshot.nobody.principal.roles) == (b"", (snapshot.catalogue.anonymous,))
    assert (snapshot.cross_tenant, snapshot.signer.issuer) == (False, "lychgate")


def test_who_may_open_tunnels_is_the_services_own_matter() -> None:
    """As it was said of each, or nobody."""
    [service] = GOOD.services
    said = msgspec.structs.replace(service, name="live", websocket_origins=("https://a.example",))
    origins = build_snapshot(_with(services=(service, said))).origins
    assert origins == {"order": Origins(), "live": Origins(frozenset({b"https://a.example"}))}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"policies": (SourceFile("x.cedar", "permit("),)}, PolicyErrors),
        ({"schema": SourceFile("schema.cedarschema", "entity")}, PolicyErrors),
        ({"roles": SourceFile("roles.toml", "[[role]]")}, CatalogueError),
        ({"routes": SourceFile("routes.toml", "[[route]]\nid = 'x'")}, RoutesError),
        ({"context": ContextSource(issuer="lychgate", private_jwk="{}")}, ContextUnusable),
        ({"context": ContextSource(issuer="lychgate", alg="none")}, ContextUnusable),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_one_source_that_is_wrong_refuses_the_whole(changes: dict[str, Any], error: type[Exception]) -> None:
    """Half a snapshot would decide by half the rules."""
    with pytest.raises(error):
        build_snapshot(_with(**changes))


def test_a_token_is_verified_once_and_remembered_until_it_expires(snapshot: Snapshot) -> None:
    """The second time it is the same value; after its time it is refused as ever."""
    first = snapshot.identify(AUTH, tokens.NOW)
    assert snapshot.identify(AUTH, tokens.NOW + 1) is first
    with pytest.raises(NotIdentified):
        snapshot.identify(AUTH, tokens.NOW + 10_000)
    with pytest.raises(TokenRefused):
        snapshot.identify(b"", tokens.NOW)
    assert build_snapshot(GOOD).identify(AUTH, tokens.NOW) is not first


def test_a_changed_policy_or_role_under_the_same_id_takes_effect(snapshot: Snapshot) -> None:
    """Oathkeeper 851: what is remembered belongs to the snapshot, so a swap forgets it."""
    changed = tuple(
        msgspec.structs.replace(file, text=file.text + "\n") if file.name == "order.cedar" else file
        for file in GOOD.policies
    )
    other = build_snapshot(_with(policies=changed))
    assert other.version != snapshot.version
    assert other.tokens is not snapshot.tokens
    assert other.contexts is not snapshot.contexts


def test_entities_are_made_once_for_a_principal_and_never_mixed(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issuer, tenant, subject and roles all belong to the key; the memory is bounded."""
    base = Principal("dev", "acme", "u-1", ("Cashier",))
    assert snapshot.entities(base) is snapshot.entities(Principal("dev", "acme", "u-1", ("Cashier",)))
    for change in ({"issuer": "x"}, {"tenant_id": "globex"}, {"sub": "u-2"}, {"roles": ("Manager",)}):
        other = msgspec.structs.replace(base, **change)
        assert snapshot.entities(other) != snapshot.entities(base)
        assert snapshot.entities(other)[0].uid == other.uid
    monkeypatch.setattr(module, "_ENTITIES", 10)
    for number in range(100):
        assert snapshot.entities(msgspec.structs.replace(base, sub=f"s-{number}"))[0].attrs["sub"] == f"s-{number}"
    assert len(snapshot._entities) <= 10


@pytest.mark.parametrize(
    ("role", "setting", "may"),
    [("SuperAdmin", True, True), ("SuperAdmin", False, False), ("Admin", True, False), ("Nonsense", True, False)],
)
def test_crossing_takes_a_role_and_the_setting(snapshot: Snapshot, role: str, setting: bool, may: bool) -> None:
    """Either alone is nothing."""
    snapshot = build_snapshot(_with(cross_tenant=setting)) if setting else snapshot
    assert snapshot.may_cross(Principal("dev", "platform", "u", (role,))) is may


def test_contexts_are_kept_by_caller_tenant_and_service_until_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the tick; and only so many."""
    kept = KeptContexts()
    key = (b"\x01", "acme", "order")
    kept.put(key, "signed", 100.0)
    assert kept.get(key, 99.9) == ("signed", 100.0)
    assert kept.get(key, 100.0) is None
    for other in ((b"\x02", "acme", "order"), (b"\x01", "globex", "order"), (b"\x01", "acme", "payment")):
        assert kept.get(other, 0.0) is None
    monkeypatch.setattr(module, "_CONTEXTS", 10)
    for number in range(100):
        kept.put((b"%d" % number, "acme", "order"), str(number), 100.0)
        assert kept.get((b"%d" % number, "acme", "order"), 0.0) == (str(number), 100.0)
    assert len(kept._kept) <= 10


@pytest.mark.parametrize("make", [repr, str])
def test_no_key_is_in_a_repr(snapshot: Snapshot, make: Callable[[object], str]) -> None:
    """A repr ends up in logs."""
    secret = msgspec.json.decode(GOOD.context.private_jwk)["d"]
    for thing in (snapshot, snapshot.signer, GOOD.context, GOOD):
        assert secret not in make(thing)
