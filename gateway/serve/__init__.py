"""The shell of the data plane: sockets to heads, verdicts to bytes."""
