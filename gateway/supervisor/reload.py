"""Reading the sources anew while the gateway runs: all of them on SIGHUP, certificates and keys as their files change.

Policies, roles and routes follow their files besides: `gateway.supervisor.live`.

What is refused is refused whole, with its place, and the old stays in force; nothing that clients send is lost by
either. Called by `gateway.supervisor.app`.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
import structlog

from gateway.certificate_metrics import CertificateMetrics
from gateway.clock import Clock
from gateway.metrics import SupervisorMetrics
from gateway.settings import TlsSettings
from gateway.sources import ContextSource, Sources
from gateway.supervisor.certificates import FileWatch, show_lives, tls_source, utc
from gateway.supervisor.context_keys import ContextKeys
from gateway.supervisor.errors import StartRefused
from gateway.supervisor.freshness import EVERYTHING, Freshness
from gateway.supervisor.sources import checked, later
from gateway.supervisor.supervisor import Supervisor

CERTIFICATES: Final = "certificates"
CONTEXT_KEYS: Final = "context_keys"

_log = structlog.get_logger(__name__)


class Reload:
    """Reads anew when it is told to, or sees that it must.

    Args:
        supervisor: Whose sources.
        read: Reads every file; raises `StartRefused`.
        tls: Which files hold the certificate, and how often they are looked at.
        metrics: Where it is counted.
        clock: For the certificate's dates.
        freshness: Where it is told how it went.
        keys: Of security contexts.
        certificates: Where it is shown how long they hold.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        read: Callable[[], Sources],
        tls: TlsSettings,
        metrics: SupervisorMetrics,
        clock: Clock,
        freshness: Freshness,
        keys: ContextKeys,
        certificates: CertificateMetrics,
    ) -> None:
        self._supervisor = supervisor
        self._read = read
        self._tls = tls
        self._metrics = metrics
        self._clock = clock
        self._freshness = freshness
        self._keys = keys
        self._keys_refused: str | None = None
        self._asked = asyncio.Event()
        self._certificate_metrics = certificates
        show_lives(supervisor.sources, certificates)
        self._show_keys()

    def ask(self) -> None:
        """Have everything read anew, soon; asked twice before it has begun is asked once."""
        self._asked.set()

    async def run(self) -> None:
        """Do what is asked, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            _log.info("reload_asked")
            await self._take(EVERYTHING, self._everything)
            # Keys are the issuers' own; they are fetched beside it, and installed when they have come.
            for issuer in self._supervisor.sources.issuers:
                self._supervisor.fetcher.kid_unknown(issuer.name)

    async def watch(self) -> None:
        """Look at the certificate's files again and again, until cancelled; returns at once without TLS."""
        if self._tls.cert_file is None:
            return
        watch = FileWatch(self._tls)
        while True:
            await asyncio.sleep(self._tls.poll_s)
            if await asyncio.to_thread(watch.changed):
                await self._take(CERTIFICATES, self._certificates)

    async def watch_keys(self) -> None:
        """Have each key of security contexts sign in its time, until cancelled.

        What the files say now is held against what is in force each time, so that what a worker was in the way of is
        done the next time.
        """
        while True:
            await asyncio.sleep(self._keys.wait_s(self._clock.now()))
            try:
                context = await asyncio.to_thread(partial(self._keys.source, self._clock.now(), anew=False))
            except StartRefused as exc:
                self._refuse_keys(str(exc))
                continue
            self._refuse_keys(self._keys.problem)
            if context != self._supervisor.sources.context:
                await self._take(CONTEXT_KEYS, partial(_with_context, context))
            self._show_keys()

    def _refuse_keys(self, reason: str | None) -> None:
        """Say what is wrong with the files, once; None for nothing."""
        if reason is not None and reason != self._keys_refused:
            self._refused(CONTEXT_KEYS, reason)
        elif reason is None and self._keys_refused is not None:
            self._freshness.well(CONTEXT_KEYS)
        self._keys_refused = reason

    def _show_keys(self) -> None:
        for state, count in self._keys.standing.items():
            self._metrics.context_keys.labels(state).set(count)
        self._metrics.context_key_since.set(self._keys.since)
        self._metrics.context_keys_end.set(self._keys.end or 0.0)

    def _everything(self, current: Sources) -> Sources:
        new = msgspec.structs.replace(self._read(), keys=current.keys, tls=current.tls)
        later(current, new)  # refuses a bundle that goes back
        return self._certificates(new)

    def _certificates(self, current: Sources) -> Sources:
        return msgspec.structs.replace(current, tls=tls_source(self._tls, utc(self._clock.now()), renewed=True))

    async def _take(self, what: str, read: Callable[[Sources], Sources]) -> None:
        """Read, check, install; or say why not."""
        try:
            await self._supervisor.reload(read, checked)
        except StartRefused as exc:
            self._refused(what, str(exc))
        except Exception as exc:  # noqa: BLE001 - whatever the files hold, what is in force stays
            self._refused(what, f"unforeseen {type(exc).__name__}")
        else:
            self._freshness.installed(what, rules=what == EVERYTHING)
            show_lives(self._supervisor.sources, self._certificate_metrics)

    def _refused(self, what: str, reason: str) -> None:
        self._freshness.refused(what, reason, self._supervisor.sources.version, rules=what == EVERYTHING)


def _with_context(context: ContextSource, current: Sources) -> Sources:
    return msgspec.structs.replace(current, context=context)
