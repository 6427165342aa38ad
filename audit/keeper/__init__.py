"""What keeps the store in order: partitions, retention, seals. Runs as `audit_keeper`, beside whoever writes the store.

Each kind of work is a job of its own, so that one that waits for a lock, or fails, holds up no other (users of
pg_partman lost a month of partitions to a drop that could not get its lock).
"""
