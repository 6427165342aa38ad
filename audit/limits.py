"""How much a spool may hold and how long a record may wait: values a worker is sent."""

import msgspec


class SpoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one spool folder. `audit.settings.SpoolSettings` is the same for people.

    Attributes:
        max_bytes: All undelivered segments and the queue before them.
        segment_bytes: A segment is closed at this size; the relay frees space by whole segments.
        queue_bytes: Records in memory, not yet written.
        queue_records: The same by count: small records cost more memory than their bytes.
        event_bytes: A record beyond this loses its large parts and says so.
        buffered_share: Of `max_bytes`, what buffered records may fill; the rest is for durable ones.
        tenant_share: Of `max_bytes`, what one tenant may fill.
        min_free_bytes: What stays free of the disk for everybody else; buffered records stop at twice that.
        reserve_bytes: Set aside in the folder and given up when the disk is full, so that the running segment can be
            closed and its space freed, and what is missing can be written down. 0 for none.
        write_delay_s: How long a buffered record may wait in memory (DESIGN section 5 allows 50 ms).
        gather_s: The least time from one sync to the next while records keep coming: what comes meanwhile shares the
            next one. A record that comes alone does not wait.
        sync_interval_s: How long it may be written but not synced (allowed: 1 s).
        lock_wait_s: How long to wait for a predecessor that is just leaving.
    """

    max_bytes: int = 1 << 30
    segment_bytes: int = 64 << 20
    queue_bytes: int = 32 << 20
    queue_records: int = 65_536
    event_bytes: int = 256 << 10
    buffered_share: float = 0.8
    tenant_share: float = 0.5
    min_free_bytes: int = 64 << 20
    reserve_bytes: int = 64 << 10
    write_delay_s: float = 0.02
    gather_s: float = 0.002
    sync_interval_s: float = 0.5
    lock_wait_s: float = 2.0
