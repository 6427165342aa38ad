"""One event of the audit, as it is shown to whoever asks: through the public port, with the asker's own credential.

So the view is decided by the query API, and the reading is decided, forwarded and recorded like any other request.
"""

import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import httpx

from gateway.errors import BadRequest, Code, Forbidden, NoRoute, UpstreamError
from gateway.route.extract import parse_json
from gateway.sources import FrontTls
from policies.model import Json

_TIMEOUT_S: Final = 10.0
_MAX_BYTES: Final = 4 * 1024 * 1024
_OK: Final = 200


class AuditReading:
    """Reads by id.

    Args:
        authority: `host:port` of the public port on this machine.
        tls: What the port proves itself with now; None for plain HTTP.
    """

    def __init__(self, authority: str, tls: Callable[[], FrontTls | None]) -> None:
        self._authority = authority
        self._tls = tls

    async def event(self, event_id: str, authorization: str) -> Json:
        """An event.

        Args:
            event_id: The decision's id.
            authorization: The asker's own credential, as it came.

        Raises:
            BadRequest: The asker is shown no such event.
            Forbidden: The asker may not read the audit.
            UpstreamError: Nobody answers, or not with an event.
        """
        tls = self._tls()
        url = f"{'http' if tls is None else 'https'}://{self._authority}/audit/events/{quote(event_id, safe='')}"
        verify = True if tls is None else _pinned(tls)
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_S, verify=verify, trust_env=False) as client:
                answer = await client.get(url, headers={"authorization": authorization, "accept": "application/json"})
        except (httpx.HTTPError, ssl.SSLError) as exc:
            raise UpstreamError(f"explain: the audit cannot be asked: {type(exc).__name__}") from exc
        if answer.status_code == NoRoute.code.status:
            raise BadRequest("explain: no such decision is shown to the asker")
        if answer.status_code == Forbidden.code.status:
            raise Forbidden("explain: the asker may not read the audit")
        if answer.status_code != _OK or len(answer.content) > _MAX_BYTES:
            raise UpstreamError(f"explain: the audit answered {answer.status_code}")
        try:
            return parse_json(answer.content)
        except BadRequest as exc:
            raise UpstreamError("explain: the audit answered no event", code=Code.UPSTREAM_INVALID) from exc


def _pinned(tls: FrontTls) -> ssl.SSLContext:
    """Trusts our own certificate and no other: who else listens on the port is not us."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # it is made for its public name, and asked for by its address
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=tls.certificate)
    return context
