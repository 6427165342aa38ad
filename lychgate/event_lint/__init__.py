"""Holds every emit in a tree of Python files against the registry of event types, without running any of it.

    source > index > scope > emits > fields | secrets > judge > ignore > run

Files are read (`source`) and indexed; an emit's event type, details and severity are followed through constants, local
names, returns and the callers of functions that hand them on; what is found is judged. What cannot be told is a finding
too, never a guess.
"""
