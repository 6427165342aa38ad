"""Where the handlers of a service are: by decorators, by calls that register them, by the classes they derive from.

found = discover(resolver, modules)
"""

from lychgate.coverage.discovery.gather import discover
from lychgate.coverage.discovery.model import Found

__all__ = ["Found", "discover"]
