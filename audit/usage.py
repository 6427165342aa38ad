"""How full a spool is, and who may still write to it. Pure.

Bytes are counted from the moment a record is taken until the relay has unlinked its segment, in total and per tenant,
so that one tenant's flood while the store is down costs that tenant and nobody else.
"""

from collections import Counter
from collections.abc import Collection, Mapping

from audit.limits import SpoolLimits
from audit.spool.segment import SegmentName


class Usage:
    """The books of one spool folder. Not for two threads at once."""

    def __init__(self, limits: SpoolLimits) -> None:
        self.total = 0
        self._max = limits.max_bytes
        self._buffered_max = int(limits.max_bytes * limits.buffered_share)
        self._tenant_max = int(limits.max_bytes * limits.tenant_share)
        self._tenants: dict[str, int] = {}
        self._segments: dict[SegmentName, Counter[str]] = {}

    def refusal(self, tenant: str, size: int, *, durable: bool) -> str | None:
        """Why a record may not be taken: `full`, `tenant_share`; None if it may."""
        total = self.total + size
        if total > (self._max if durable else self._buffered_max):
            return "full"
        if total > self._tenant_max and self._tenants.get(tenant, 0) + size > self._tenant_max:
            return "tenant_share"
        return None

    def add(self, tenant: str, size: int) -> None:
        """A record was taken."""
        self.total += size
        self._tenants[tenant] = self._tenants.get(tenant, 0) + size

    def place(self, segment: SegmentName, sizes: Mapping[str, int]) -> None:
        """Records that were taken are now in a segment."""
        self._segments.setdefault(segment, Counter()).update(sizes)

    def inherit(self, segment: SegmentName, size: int) -> None:
        """A segment of an earlier epoch is still there; whose records it holds is not looked up."""
        self.add("", size)
        self.place(segment, {"": size})

    def drop(self, sizes: Mapping[str, int]) -> None:
        """Records that were taken are gone."""
        for tenant, size in sizes.items():
            self.total -= size
            left = self._tenants.get(tenant, 0) - size
            if left > 0:
                self._tenants[tenant] = left
            else:
                self._tenants.pop(tenant, None)

    def keep(self, present: Collection[SegmentName]) -> None:
        """Forget the segments that are no longer there."""
        for name in [name for name in self._segments if name not in present]:
            self.drop(self._segments.pop(name))
