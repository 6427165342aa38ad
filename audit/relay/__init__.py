"""From the spool folders to the sinks: what empties every producer's disk, in order, and never drops.

One relay a machine, in the supervisor. Each sink has a lane of its own: own readers, own cursors, own pauses.
"""

from audit.relay.relay import Relay, RelayStatus

__all__ = ["Relay", "RelayStatus"]
