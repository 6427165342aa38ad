"""Why the supervisor does not go on with what it is given."""


class StartRefused(Exception):
    """The gateway cannot work with these sources; the text says why, and where: one finding a line."""


class NotTaken(StartRefused):
    """A worker could not build what was built here, so none has taken it; it may go well another time."""
