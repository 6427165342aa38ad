"""Policies, roles and routes that follow their files: edited, checked, in force; or refused, and the old ones stay.

A version is what the files hold after they were left alone for `policies.settle_s`. It is compared with what is in
force by its bytes, so that saving what was there before does nothing. Called by `gateway.supervisor.app`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog

from gateway.freshness_metrics import POLICIES
from gateway.sources import Sources
from gateway.supervisor.errors import NotTaken, StartRefused
from gateway.supervisor.freshness import Freshness
from gateway.supervisor.sources import Rules, checked, later
from gateway.supervisor.supervisor import Supervisor
from policies.watch import Seen, looks

_log = structlog.get_logger(__name__)


class Live:
    """Puts the files' versions in force, one after the other.

    Args:
        supervisor: Whose sources.
        read: Reads policies, roles and routes; raises `StartRefused`.
        beside: Reads what goes with the sources (`gateway.supervisor.decision`); raises `StartRefused`.
        paths: What both read.
        freshness: Where it is told how it went.
        settle_s: How long files must be left alone.
        poll_s: How often they are looked at when nobody tells of a change.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        read: Callable[[], Rules],
        beside: Callable[[Sources], Sources],
        paths: Sequence[Path],
        freshness: Freshness,
        *,
        settle_s: float,
        poll_s: float,
    ) -> None:
        self._supervisor = supervisor
        self._read = read
        self._beside = beside
        self._paths = paths
        self._freshness = freshness
        self._settle_s = settle_s
        self._poll_s = poll_s
        self._found: Rules | None = None
        self._said: tuple[Rules | None, str] | None = None

    async def run(self) -> None:
        """Follow the files until cancelled."""
        await follow(self._paths, self.take, settle_s=self._settle_s, poll_s=self._poll_s)

    async def take(self) -> bool:
        """Put in force what the files hold, or say why not; once for the same files.

        Returns:
            Whether there is nothing to do until they change. If not, a worker was in the way: it is tried again.
        """
        final = True
        try:
            taken = await self._supervisor.reload(self._new, checked)
        except NotTaken as exc:
            final = False
            self._refuse(str(exc))
        except StartRefused as exc:
            self._refuse(str(exc))
        except Exception as exc:  # noqa: BLE001 - whatever the files hold, what is in force stays
            self._refuse(f"unforeseen {type(exc).__name__}")
        else:
            self._said = None
            if taken:
                self._freshness.installed(POLICIES)
            else:
                self._freshness.same()
        return final

    def _new(self, current: Sources) -> Sources:
        """In a thread: the sources with what the files hold; `current` itself where that is in force."""
        self._found = None
        self._found = self._read()
        return later(current, self._beside(self._found.over(current)))

    def _refuse(self, reason: str) -> None:
        """Say it, unless it was said of the same files, or at the SIGHUP that came with the change."""
        last = self._freshness.last
        asked = last is not None and not last.installed and last.what != POLICIES and last.reason == reason
        if not asked and (self._found, reason) != self._said:
            self._freshness.refused(POLICIES, reason, self._supervisor.sources.version)
        self._said = self._found, reason


async def follow(paths: Sequence[Path], take: Callable[[], Awaitable[bool]], *, settle_s: float, poll_s: float) -> None:
    """Take each version of files, until cancelled; what breaks the watching is said, and it begins anew.

    Args:
        paths: The files, and folders of policies.
        take: Called with the first version and with each later one; False to be called again for the same.
        settle_s: How long files must be left alone.
        poll_s: How often they are looked at when nobody tells of a change.
    """
    while True:
        try:
            handled: Seen | None = None
            async for seen in looks(paths, settle_s=settle_s, poll_s=poll_s):
                if seen != handled:
                    handled = seen if await take() else None
        except Exception as exc:  # noqa: BLE001 - what is in force goes on deciding, whatever a filesystem does
            _log.error("watch_failed", reason=type(exc).__name__, again_in_s=poll_s)
        await asyncio.sleep(poll_s)
