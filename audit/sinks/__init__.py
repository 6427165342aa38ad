"""Where the relay delivers to: a module a sink, all of one port.

The broker's stands in `audit.kafka.producer`. What only one of them needs (an HTTP client) is loaded with its module.
"""

from audit.sinks.port import Sink, Watermark
from audit.sinks.store import DIRECT_LANE, StoreSink
from audit.sinks.tapped import TappedSink

__all__ = ["DIRECT_LANE", "Sink", "StoreSink", "TappedSink", "Watermark"]
