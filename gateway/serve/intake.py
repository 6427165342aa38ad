"""A request's body on its way in: collected where the decision needs it, else passed on piece by piece, framed anew."""

from gateway.errors import BadRequest, TooLarge
from gateway.forward.trailers import trailer_block
from gateway.limits import Limits
from gateway.model import Route
from gateway.wire.framing import NO_BODY, BodyReader, Ending, Framing

_LAST_CHUNK = b"0\r\n\r\n"


class Intake:
    """One request's body.

    Attributes:
        route: Whose limits hold; None until the request is routed.
    """

    __slots__ = ("_chunked", "_collected", "_limits", "_reader", "route")

    def __init__(self, limits: Limits, framing: Framing = NO_BODY) -> None:
        self._limits = limits
        self._reader = BodyReader(framing)
        self._chunked = framing.ending is Ending.CHUNKED
        self._collected: list[bytes] = []
        self.route: Route | None = None

    @property
    def done(self) -> bool:
        """Whether the body has ended."""
        return self._reader.done

    @property
    def received(self) -> int:
        """Bytes of content so far."""
        return self._reader.received

    @property
    def collected(self) -> bytes:
        """The whole body, where it was collected."""
        return b"".join(self._collected)

    def collect(self, data: bytes) -> bytes:
        """Keep the content of `data`; returns what follows the body's end.

        Raises:
            BadRequest: Broken chunked coding.
            TooLarge: More than the decision may read.
        """
        content, rest = self._take(data, self._limits.decided_body_bytes)
        self._collected.append(content)
        return rest

    def pass_on(self, data: bytes) -> tuple[bytes, bytes]:
        """The content of `data` as the service is sent it, framed anew; and what follows the body's end.

        Raises:
            BadRequest: Broken chunked coding.
            TooLarge: More than the route or the gateway allows.
        """
        content, rest = self._take(data, self._limits.body_bytes)
        if self._chunked:
            content = b"%x\r\n%b\r\n" % (len(content), content) if content else b""
            if self._reader.done:
                content += _LAST_CHUNK if not self._reader.trailers else self._last_chunk()
        return content, rest

    def _last_chunk(self) -> bytes:
        """The last chunk with what may follow it: nothing, unless the route passes trailers."""
        passes = self.route is not None and self.route.trailers
        return b"0\r\n%b\r\n" % (trailer_block(self._reader.trailers) if passes else b"")

    def _take(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        try:
            content, rest = self._reader.take(data)
        except ValueError as exc:
            raise BadRequest(f"body: {exc}", close=True) from None
        own = self.route.body_bytes if self.route is not None else None
        if own is not None:
            limit = min(limit, own) if limit and self.route is not None and self.route.reads_body else own
        if limit and self._reader.received > limit:
            raise TooLarge("body: longer than its limit", close=True)
        return content, rest
