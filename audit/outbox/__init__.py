"""A transactional outbox: a service's events in its own database, written in the transaction that makes the change.

install    the table, as SQL for the service's own migrations
body       what stands in a row, and the record that is made of it
outbox     what a service calls in its transaction
relay      what empties the table into a sink
horizon    until when the relay may say that everything is delivered
run        the relay as a process
"""

from audit.outbox.outbox import Outbox

__all__ = ["Outbox"]
