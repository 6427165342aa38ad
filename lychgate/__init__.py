"""The command line and the one-command stack: the only package that knows all the others."""
