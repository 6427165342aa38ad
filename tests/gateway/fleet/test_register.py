"""On disk, then in force, then told; at once where several come at once, and never weaker than it was."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.clock import Clock
from gateway.control import REVOCATIONS_A_FRAME
from gateway.fleet.errors import NotKept, TooMany
from gateway.fleet.journal import Journal
from gateway.fleet.register import Register
from gateway.revocations import Revocation

ROOT = "dev/platform/root"
MIA = Revocation(kind="user", issuer="dev", tenant_id="acme", sub="mia", issued_before=5.0)


class HandClock(Clock):
    """A clock that is set by hand."""

    at = 1_000.0

    def now(self) -> float:
        """What the hand says."""
        return self.at


class Stand:
    """A register and whom it tells."""

    def __init__(self, folder: Path, limit: int = 10) -> None:
        self.journal = Journal(folder, "one")
        self.clock = HandClock()
        self.register = Register(self.journal, self.clock, limit)
        self.told: list[tuple[tuple[Revocation, ...], bool]] = []
        self.published: list[frozenset[str]] = []
        self.register.tell = self._tell
        self.register.on_change = self.published.append

    async def _tell(self, entries: tuple[Revocation, ...], /, *, stale: bool) -> int:
        await asyncio.sleep(0)
        self.told.append((entries, stale))
        return 2

    def again(self, folder: Path) -> dict[str, Revocation]:
        """What a restart finds."""
        self.journal.close()
        self.journal = Journal(folder, "one")
        return dict(Register(self.journal, self.clock, 10).entries)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """An empty one."""
    found = Stand(tmp_path)
    yield found
    found.journal.close()


def user(sub: str, before: float = 5.0) -> Revocation:
    """An entry."""
    return msgspec.structs.replace(MIA, sub=sub, issued_before=before)


async def test_made_kept_told_and_there_again(stand: Stand, tmp_path: Path) -> None:
    """With who and when; the fleet hears of what was made here."""
    made = await stand.register.revoke(MIA, ROOT)
    assert (made.changed, made.workers) == (True, 2)
    assert made.entry == msgspec.structs.replace(MIA, made_at=1_000.0, made_by=ROOT)
    assert stand.told == [((made.entry,), False)]
    assert stand.published == [frozenset({MIA.id})]
    assert list(stand.register.standing()) == [((made.entry,), False)]
    assert stand.again(tmp_path) == {MIA.id: made.entry}


async def test_said_again_is_never_weaker(stand: Stand) -> None:
    """An earlier time changes nothing, a later one does; after a lift it begins anew."""
    await stand.register.revoke(MIA, ROOT)
    same = await stand.register.revoke(user("mia", 4.0), ROOT)
    assert (same.changed, same.entry.issued_before, same.entry.version) == (False, 5.0, 1)
    assert stand.told[-1] == ((), False), "and is answered when it is in force all the same"
    later = await stand.register.revoke(user("mia", 6.0), ROOT)
    assert (later.changed, later.entry.issued_before, later.entry.version) == (True, 6.0, 2)
    lifted = await stand.register.lift(MIA.id, ROOT)
    assert lifted is not None
    assert (lifted.entry.lifted, lifted.entry.version) == (True, 3)
    assert len(stand.register.index) == 0
    assert list(stand.register.standing()) == [((), False)]
    assert await stand.register.lift(MIA.id, ROOT) is None, "once is enough"
    assert await stand.register.lift("0" * 32, ROOT) is None
    anew = await stand.register.revoke(user("mia", 4.0), ROOT)
    assert (anew.entry.issued_before, anew.entry.version, anew.entry.lifted) == (4.0, 4, False)


async def test_what_the_fleet_tells_is_joined_and_not_told_back(stand: Stand, tmp_path: Path) -> None:
    """Newer wins, older is nothing, and all of it is on disk."""
    told = msgspec.structs.replace(MIA, version=3, made_by="dev/platform/other")
    await stand.register.take([told])
    assert stand.register.entries == {MIA.id: told}
    await stand.register.take([MIA])
    assert len(stand.told) == 1, "nothing new, nothing written"
    await stand.register.take([msgspec.structs.replace(told, version=4, lifted=True, made_at=900.0)])
    assert len(stand.register.index) == 0
    assert stand.published in ([], [frozenset()] * 2)
    assert stand.again(tmp_path)[MIA.id].lifted


async def test_changes_that_come_at_once_share_a_write(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty make two: the first, and all that came while the disk was busy."""
    writes: list[int] = []
    append = Journal.append

    def counted(journal: Journal, entries: list[Revocation]) -> None:
        writes.append(len(entries))
        append(journal, entries)

    monkeypatch.setattr(Journal, "append", counted)
    stand.register._limit = 100
    made = await asyncio.gather(*(stand.register.revoke(user(f"u{n}"), ROOT) for n in range(50)))
    assert all(one.changed and one.workers == 2 for one in made)
    assert sum(writes) == 50
    assert len(writes) <= 3


async def test_a_disk_that_takes_nothing_changes_nothing(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody who shared the write is told, nobody was revoked, and the next one works."""

    def full(*_: object) -> None:
        raise NotKept("revocations: cannot be kept: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", full)
        results = await asyncio.gather(
            *(stand.register.revoke(user(f"u{n}"), ROOT) for n in range(3)), return_exceptions=True
        )
    assert [str(result) for result in results] == ["revocations: cannot be kept: No space left on device"] * 3
    assert stand.register.entries == {}
    assert len(stand.register.index) == 0
    assert stand.told == stand.published == []
    assert (await stand.register.revoke(MIA, ROOT)).changed


async def test_as_many_as_may_be(tmp_path: Path) -> None:
    """One more is refused; one that is there may change; the fleet's are taken up to twice as many."""
    stand = Stand(tmp_path, limit=2)
    for sub in ("a", "b"):
        await stand.register.revoke(user(sub), ROOT)
    with pytest.raises(TooMany, match=r"^revocations: 2 are as many as may be$"):
        await stand.register.revoke(user("c"), ROOT)
    await stand.register.revoke(user("a", 9.0), ROOT)
    await stand.register.take([user("c"), user("d")])
    with pytest.raises(TooMany):
        await stand.register.take([user("e")])
    stand.journal.close()


async def test_stale_is_told_once(stand: Stand) -> None:
    """And to workers that begin later."""
    await stand.register.set_stale(stale=True)
    await stand.register.set_stale(stale=True)
    assert stand.told == [((), True)]
    assert list(stand.register.standing()) == [((), True)]
    await stand.register.set_stale(stale=False)
    assert stand.told[-1] == ((), False)


async def test_what_is_over_is_let_go_everywhere(stand: Stand, tmp_path: Path) -> None:
    """In the workers, here, and on disk when most of it is of no use."""
    token = Revocation(kind="jti", issuer="dev", jti="t", expires_at=1_100.0)
    await stand.register.revoke(token, ROOT)
    await stand.register.revoke(MIA, ROOT)
    await stand.register.prune()
    assert len(stand.register.entries) == 2
    stand.clock.at = 1_100.0
    await stand.register.prune()
    assert list(stand.register.entries) == [MIA.id]
    assert [entry.jti for entry in stand.told[-1][0]] == ["t"]
    await stand.register.take([token])
    assert list(stand.register.entries) == [MIA.id], "told again, it is still over"
    stand.journal.append([msgspec.structs.replace(MIA, version=n) for n in range(2, 1_200)])
    await stand.register.prune()
    assert stand.again(tmp_path)[MIA.id].version == 1


async def test_a_piece_is_as_things_stand_when_it_is_asked_for(tmp_path: Path) -> None:
    """A worker that is being told never gets a state older than one it was told meanwhile."""
    stand = Stand(tmp_path, limit=2_000)
    await stand.register.take([user(f"u{n}") for n in range(REVOCATIONS_A_FRAME + 2)])
    pieces = stand.register.standing()
    assert len(next(pieces)[0]) == REVOCATIONS_A_FRAME
    last, other = (user(f"u{REVOCATIONS_A_FRAME + n}") for n in range(2))
    later = (await stand.register.revoke(msgspec.structs.replace(last, issued_before=9.0), ROOT)).entry
    lifted = await stand.register.lift(other.id, ROOT)
    assert lifted is not None
    assert next(pieces) == ((later, lifted.entry), False)
    assert next(pieces, None) is None
    stand.journal.close()
