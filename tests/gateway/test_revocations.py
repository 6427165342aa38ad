"""What an entry refuses, and that gateways which tell each other what they know come to the same."""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Unready
from gateway.model import Identity
from gateway.revocations import LIFTED_KEPT_S, Revocation, Revocations, is_sound, joined
from roles.model import Principal

NOW = 1_000_000.0
DIGEST = b"\x01" * 32
USER = Revocation(kind="user", issuer="dev", tenant_id="acme", sub="mia", issued_before=NOW)
TENANT = Revocation(kind="tenant", tenant_id="acme", issued_before=NOW)
TOKEN = Revocation(kind="token", token_sha256=DIGEST.hex(), expires_at=NOW + 100)
JTI = Revocation(kind="jti", issuer="dev", jti="t-1", expires_at=NOW + 100)


def identity(
    issuer: str = "dev", tenant: str = "acme", sub: str = "mia", iat: float = NOW - 1, **changes: Any
) -> Identity:
    """A caller whose token held."""
    fields = {"expires_at": NOW + 60, "issued_at": iat, "token_sha256": b"\x02" * 32, **changes}
    return Identity(Principal(issuer, tenant, sub, ()), "jwt", **fields)


def holding(*entries: Revocation, now: float = NOW, **more: Any) -> Revocations:
    """An index of these."""
    found = Revocations()
    found.apply(entries, now, **more)
    return found


@pytest.mark.parametrize(
    ("entry", "changes", "refused"),
    [
        (USER, {}, True),
        (USER, {"iat": NOW - 0.001}, True),
        (USER, {"iat": NOW}, False),  # strictly before
        (USER, {"iat": 0.0}, True),  # a token that does not say when
        (USER, {"issuer": "other"}, False),
        (USER, {"tenant": "globex"}, False),
        (USER, {"sub": "tom"}, False),
        (TENANT, {"sub": "tom", "issuer": "other"}, True),
        (TENANT, {"iat": NOW}, False),
        (TENANT, {"iat": 0.0}, True),
        (TENANT, {"tenant": "globex"}, False),
        (TOKEN, {"token_sha256": DIGEST}, True),
        (TOKEN, {"token_sha256": DIGEST, "iat": NOW + 5}, True),
        (TOKEN, {}, False),
        (JTI, {"jti": "t-1"}, True),
        (JTI, {"jti": "t-2"}, False),
        (JTI, {}, False),
        (JTI, {"jti": "t-1", "issuer": "other"}, False),  # unique for its issuer only
    ],
)
def test_whom_an_entry_refuses(entry: Revocation, changes: dict[str, Any], refused: bool) -> None:
    """Exactly those that it names; a lifted one nobody."""
    index = holding(entry)
    assert index.active
    assert index.refuses(identity(**changes)) is refused
    assert index.blocks(identity(**changes)) is refused
    index.apply([msgspec.structs.replace(entry, version=2, lifted=True)], NOW)
    assert not index.refuses(identity(**changes))
    assert not index.active
    assert len(index) == 0


def test_a_stranger_is_never_refused() -> None:
    """Who shows nothing has nothing that could be revoked, whatever is missing."""
    index = holding(USER, TENANT, TOKEN, JTI)
    index.stale = True
    nobody = Identity(Principal("-", "-", "anonymous", ()), "anonymous")
    assert not index.blocks(nobody)


def test_what_is_over_is_let_go() -> None:
    """A token's entry with its expiry, a lifted one when everybody has heard of it, a user's never."""
    assert not TOKEN.over(NOW + 99)
    assert TOKEN.over(NOW + 100)
    assert not USER.over(NOW * 10)
    lifted = msgspec.structs.replace(USER, lifted=True, made_at=NOW)
    assert not lifted.over(NOW + LIFTED_KEPT_S - 1)
    assert lifted.over(NOW + LIFTED_KEPT_S)
    index = holding(TOKEN, JTI)
    index.apply([TOKEN, JTI], NOW + 100)
    assert len(index) == 0


def test_stale_blocks_callers_and_says_why() -> None:
    """And refuses nobody: what is missing is not a reason to call a token revoked."""
    index = Revocations()
    index.check_fresh()
    index.stale = True
    assert index.active
    assert index.blocks(identity())
    assert not index.refuses(identity())
    with pytest.raises(Unready, match=r"^revocations: the fleet's are out of reach$"):
        index.check_fresh()
    index.stale = False
    assert not index.active


def test_contexts_of_a_revoked_caller() -> None:
    """One that was signed before this process heard of it is refused, whatever it was revoked for."""
    early = msgspec.structs.replace(USER, issued_before=NOW - 500)
    index = holding(early, now=NOW)
    ask = index.refuses_context
    assert ask("dev", "mia", ("acme",), NOW - 1)
    assert not ask("dev", "mia", ("acme",), NOW)
    assert ask("dev", "mia", ("globex",), NOW - 1), "a caller who crossed has the other tenant in the context"
    assert not ask("dev", "tom", ("acme",), NOW - 1)
    assert holding(TENANT).refuses_context("dev", "tom", ("globex", "acme"), NOW - 1)
    index.apply([early], NOW + 50)
    assert not ask("dev", "mia", ("acme",), NOW + 1), "told again is not made again"
    restarted = holding(msgspec.structs.replace(early, made_at=NOW - 400), now=NOW, kept=True)
    assert not restarted.refuses_context("dev", "mia", ("acme",), NOW - 399), "it was in force before the restart"
    assert restarted.refuses_context("dev", "mia", ("acme",), NOW - 401)


def test_the_id_follows_from_what_is_named() -> None:
    """And from nothing else, so that naming it twice is one entry."""
    assert USER.id == msgspec.structs.replace(USER, issued_before=1, version=9, lifted=True, made_by="x").id
    assert len({entry.id for entry in (USER, TENANT, TOKEN, JTI)}) == 4
    assert Revocation(kind="user", issuer="a", tenant_id="b", sub="c").id != (
        Revocation(kind="user", issuer="a", tenant_id="bc", sub="").id
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "tenant"},
        {"sub": ""},
        {"issuer": ""},
        {"jti": "x"},
        {"tenant_id": "No Tenant"},
        {"tenant_id": "-"},
        {"version": 0},
        {"sub": "x" * 2000},
    ],
)
def test_what_names_nothing_is_not_sound(changes: dict[str, Any]) -> None:
    """Read from a disk or from Redis, it is not taken for an entry."""
    assert is_sound(USER)
    assert is_sound(TOKEN)
    assert not is_sound(msgspec.structs.replace(USER, **changes))
    assert not is_sound(msgspec.structs.replace(TOKEN, token_sha256="xyz"))


states = st.builds(
    lambda version, lifted, before: msgspec.structs.replace(
        USER, version=version, lifted=lifted, issued_before=float(before), made_by="a", made_at=float(before)
    ),
    st.integers(1, 3),
    st.booleans(),
    st.integers(1, 4),
)


@given(states, states)
def test_two_states_join_to_one_in_either_order(one: Revocation, other: Revocation) -> None:
    """The same, whoever tells whom; joining it again changes nothing; nothing newer in force is weakened."""
    both = joined(one, other)
    assert both == joined(other, one)
    assert joined(both, one) == joined(both, other) == both == joined(one, both)
    assert joined(one, one) == one
    if one.version == other.version and one.lifted != other.lifted:
        assert not both.lifted, "of two at the same time the stricter holds"
    if not one.lifted and not other.lifted:
        assert both.issued_before == max(one.issued_before, other.issued_before)


@given(st.lists(states, min_size=1, max_size=4))
def test_gossip_in_any_order_ends_in_agreement(told: list[Revocation]) -> None:
    """Gateways that hear the same states in different orders agree after telling each other what they made of it."""
    ends = []
    for order in itertools.permutations(told):
        state = order[0]
        for heard in order[1:]:
            state = joined(state, heard)
        ends.append(state)
    agreed = set()
    for order in (ends, ends[::-1]):
        state = order[0]
        for heard in order:
            state = joined(state, heard)
        agreed.add(state)
    assert len(agreed) == 1


keys = st.sampled_from(["mia", "tom"])
entries = st.one_of(
    st.builds(
        lambda sub, tenant, before, lifted: Revocation(
            kind="user", issuer="dev", tenant_id=tenant, sub=sub, issued_before=float(before), lifted=lifted
        ),
        keys,
        st.sampled_from(["acme", "globex"]),
        st.integers(1, 5),
        st.booleans(),
    ),
    st.builds(
        lambda tenant, before, lifted: Revocation(
            kind="tenant", tenant_id=tenant, issued_before=float(before), lifted=lifted
        ),
        st.sampled_from(["acme", "globex"]),
        st.integers(1, 5),
        st.booleans(),
    ),
    st.builds(
        lambda jti, lifted: Revocation(kind="jti", issuer="dev", jti=jti, expires_at=9.0, lifted=lifted),
        keys,
        st.booleans(),
    ),
)


@given(st.lists(entries, max_size=12), keys, st.sampled_from(["acme", "globex"]), st.integers(0, 5))
def test_the_index_is_what_reading_all_entries_would_say(
    told: list[Revocation], sub: str, tenant: str, iat: int
) -> None:
    """The last state of each, looked at one by one."""
    index, last = Revocations(), {}
    for entry in told:
        index.apply([entry], 0.0)
        last[entry.id] = entry
    caller = identity(sub=sub, tenant=tenant, iat=float(iat), jti=sub)
    named = (
        (entry.kind == "jti" and entry.jti == sub)
        or (entry.kind == "tenant" and entry.tenant_id == tenant and iat < entry.issued_before)
        or (entry.kind == "user" and (entry.sub, entry.tenant_id) == (sub, tenant) and iat < entry.issued_before)
        for entry in last.values()
        if not entry.lifted
    )
    assert index.refuses(caller) is any(named)
    assert len(index) == sum(not entry.lifted for entry in last.values())
    assert index.active is (len(index) > 0)
