"""Reading what happened: the audit query API, in views that fit the reader's role."""
