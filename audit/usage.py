"""How full a spool is, and who may still write to it. Pure.

Bytes are counted from the moment a record is taken until the relay has unlinked its segment, in total and per tenant,
so that one tenant's flood while the store is down costs that tenant and nobody else.
"""

from collections import Counter
from collections.abc import Collection, Mapping

from audit.limits import SpoolLimits
from audit.spool.segment import SegmentName

_EVERYBODY, _DURABLE, _NOBODY = 0, 1, 2  # who may write, as the disk's free bytes go


class Usage:
    """The books of one spool folder. Not for two threads at once."""

    def __init__(self, limits: SpoolLimits) -> None:
        self.total = 0
        self._max = limits.max_bytes
        self._buffered_max = int(limits.max_bytes * limits.buffered_share)
        self._tenant_max = int(limits.max_bytes * limits.tenant_share)
        self._min_free = limits.min_free_bytes
        self._scarce = _EVERYBODY
        self._tenants: dict[str, int] = {}
        self._segments: dict[SegmentName, Counter[str]] = {}

    def admit(self, tenant: str, size: int, *, durable: bool) -> str | None:
        """Take a record into the books; or say why it may not be taken: `full`, `min_free`, `tenant_share`."""
        total = self.total + size
        if total > (self._max if durable else self._buffered_max):
            return "full"
        if self._scarce and (self._scarce == _NOBODY or not durable):
            return "min_free"
        tenants = self._tenants
        own = tenants.get(tenant, 0) + size
        if own > self._tenant_max:
            return "tenant_share"
        self.total = total
        tenants[tenant] = own
        return None

    def see_free(self, free: int) -> None:
        """So much of the disk is free: below the bound nobody may write, below its double only durable records."""
        if free >= 2 * self._min_free:
            self._scarce = _EVERYBODY
        else:
            self._scarce = _DURABLE if free >= self._min_free else _NOBODY

    def add(self, tenant: str, size: int) -> None:
        """A record was taken, whatever the bounds say."""
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
