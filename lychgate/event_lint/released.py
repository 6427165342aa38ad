"""A registry held against the one that was released, as findings at the entries that break it. Pure."""

from audit.registry.compatible import breaks
from audit.registry.model import Registry
from policies.errors import Finding


def broken(released: Registry, now: Registry, file: str) -> list[Finding]:
    """What the registry breaks of its release.

    Args:
        released: As its readers know it.
        now: As it is to be.
        file: Where a type that is gone would have to stand.
    """
    found = []
    for each in breaks(released, now):
        place, line = now.places.get(each.event_type, (file, 0))
        reason = f"`{each.event_type}`: {each.reason}"
        found.append(Finding(place, line, 1 if line else 0, reason, each.rule.value))
    return found
