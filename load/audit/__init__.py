"""How fast an event becomes a row that a reader may see: `make bench-audit`.

A process emits into its spool, as a gateway's worker does; one relays, as the supervisor does; with a broker, one
consumes. Each is the product's own code, started as a process, and PostgreSQL syncs. `visible` watches the store as a
reader would: by looking at it.
"""
