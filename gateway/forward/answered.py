"""Who waits for a service's answer, as its connection sees it: `gateway.serve.exchange.Exchange`."""

from typing import Protocol

from gateway.errors import UpstreamError
from gateway.wire.head import ResponseHead


class Answered(Protocol):
    """Who waits for the answer."""

    def on_interim(self, head: ResponseHead) -> None:
        """A 1xx answer came; the real one follows."""

    def on_head(self, head: ResponseHead) -> None:
        """The answer's head came."""

    def on_body(self, data: bytes) -> None:
        """A piece of its body came, in order, without framing."""

    def on_end(self) -> None:
        """The answer is whole."""

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        """Head, body and end in one: all of it came at once."""

    def on_upstream_error(self, error: UpstreamError) -> None:
        """No answer, or no more of it, will come; `error.kind` says whether any byte of it did."""

    def on_upstream_pause(self, *, paused: bool) -> None:
        """The service reads slower than it is sent, or has caught up."""
