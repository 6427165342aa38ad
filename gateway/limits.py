"""How much a stranger may send, and how long anything may take. Every number is configurable."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on one worker's connections, requests and waits.

    Sizes are the precedents people already design for: 8 KiB a request line and 100 fields are Apache's defaults,
    64 KiB a header is Envoy's order of magnitude (60 KiB).

    Attributes:
        request_line_bytes: Method, target and version; beyond it 414.
        header_bytes: The whole head of a request; beyond it 431.
        header_count: Fields in a head; beyond it 431.
        response_header_bytes: The whole head of an upstream's answer; beyond it 502.
        body_bytes: A request body; beyond it 413. 0 for no limit.
        decided_body_bytes: A body that a route decides on, held in memory; beyond it 413.
        redacted_body_bytes: An answer from which fields are taken out, held in memory; beyond it 502.
        pipelined_bytes: Read ahead of the request in hand before reading pauses.
        write_buffer_bytes: Waiting for a slow reader before the other side is paused.
        pipelined_requests: Whole requests that may wait behind the one in hand; then reading pauses.
        connections: Client connections a worker keeps, TLS handshakes among them; one more is closed unanswered.
        connections_per_client: Of them, by one address (IPv4) or one /64 (IPv6); a trusted hop is not counted. 0 for
            no limit.
        inflight: Requests a worker has begun and not ended, streams and tunnels among them; one more is 503
            `overloaded` before anything is decided.
        tls_handshake_s: From a connection's accept to the end of its TLS handshake.
        header_read_s: From the first byte of a head to its last; then 408.
        body_stall_s: Without a byte of an unfinished request body; then 408.
        keep_alive_idle_s: Between requests.
        half_close_s: A client that has closed its sending side and is sent nothing for this long is taken to be gone.
            A close and a half-close look the same until something is written.
        connect_s: To one address of an upstream, TLS included; then another is tried once, then 502.
        first_byte_s: From the request's last byte to the end of the answer's head; then 504.
        stall_s: Without a byte of an unfinished answer; then the answer is cut.
        total_s: A whole exchange. 0 for no limit, so that event streams may live.
        upstream_idle_s: An unused upstream connection is kept.
        upstream_idle_connections: Unused connections kept for each address.
        tunnels: WebSockets that a worker keeps open; beyond it 503 `overloaded`. Half the connections, so that requests
            still find room.
        lasting_s: An answer that takes longer is cut once its token has expired or a new snapshot would refuse it, as
            tunnels and event streams are from their beginning.
        lasting_idle_s: A tunnel without a byte either way, or an event stream without one, is cut. As Envoy's stream
            idle time-out.
    """

    request_line_bytes: int = 8 * 1024
    header_bytes: int = 64 * 1024
    header_count: int = 100
    response_header_bytes: int = 64 * 1024
    body_bytes: int = 0
    decided_body_bytes: int = 1024 * 1024
    redacted_body_bytes: int = 1024 * 1024
    pipelined_bytes: int = 64 * 1024
    pipelined_requests: int = 16
    write_buffer_bytes: int = 256 * 1024
    connections: int = 10_000
    connections_per_client: int = 1_000
    inflight: int = 4_096
    tls_handshake_s: float = 10.0
    header_read_s: float = 10.0
    body_stall_s: float = 30.0
    keep_alive_idle_s: float = 75.0
    half_close_s: float = 1.0
    connect_s: float = 5.0
    first_byte_s: float = 60.0
    stall_s: float = 60.0
    total_s: float = 0.0
    upstream_idle_s: float = 30.0
    upstream_idle_connections: int = 64
    tunnels: int = 5_000
    lasting_s: float = 30.0
    lasting_idle_s: float = 300.0
