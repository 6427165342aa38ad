"""Policies and roles that are edited while the query process runs: read anew, and in force for the next read.

What is refused is refused whole, said once, and the old ones stay. Called by `query.app`.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from policies.errors import PoliciesError
from policies.watch import Seen, looks
from query.access import Access
from query.log import AuditLog
from query.metrics import QueryMetrics
from roles.errors import RolesError

UNUSABLE: Final = (PoliciesError, RolesError, ValueError, OSError)
"""What reading them raises when they cannot be used."""

_LOG: Final = structlog.get_logger(__name__)


class Judging(NamedTuple):
    """What decides a read.

    Attributes:
        access: With policies and roles.
        policy_version: Of the policies.
        serial: Of the bundle they came in; None for a folder.
    """

    access: Access
    policy_version: str
    serial: int | None = None


async def follow(
    log: AuditLog,
    current: Judging,
    read: Callable[[], Judging],
    paths: Sequence[Path],
    metrics: QueryMetrics,
    *,
    settle_s: float,
    poll_s: float,
) -> None:
    """Have a log decide by what the files hold, until cancelled.

    Args:
        log: Which.
        current: What it decides by.
        read: Reads the files; runs in a thread.
        paths: What is read.
        metrics: Where it is counted.
        settle_s: How long files must be left alone.
        poll_s: How often they are looked at when nobody tells of a change.
    """
    handled: Seen | None = None
    async for seen in looks(paths, settle_s=settle_s, poll_s=poll_s):
        if seen == handled:
            continue
        first, handled = handled is None, seen
        try:
            found = await asyncio.to_thread(read)
            if found.serial is not None and current.serial is not None and found.serial < current.serial:
                raise ValueError(f"the bundle's serial is {found.serial}; {current.serial} is in force")
        except UNUSABLE as exc:
            metrics.reloads.labels("refused").inc()
            _LOG.error("reload_refused", reason=str(exc), kept=current.policy_version)
            continue
        if first and found.policy_version == current.policy_version:
            continue
        current = found
        log.decide_by(found.access, found.policy_version)
        metrics.reloads.labels("installed").inc()
        _LOG.info("policies_installed", policy_version=found.policy_version)
