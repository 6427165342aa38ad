"""How long a test waits for what must happen."""

PATIENCE_S = 60.0
"""Seconds. A machine that stood still for some of them is not a finding; only what never happens costs all of them."""
