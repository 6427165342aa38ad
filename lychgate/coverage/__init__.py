"""Which handlers of a service change something, and whether an audit event is emitted however they end.

    source > program > resolve > discovery > flow > judge > scan > report

Comes in: Python files, which are parsed and never imported. Goes out: a verdict for each handler, with the path that
has no event. What cannot be known counts as uncovered. Called by `lychgate audit coverage`.
"""
