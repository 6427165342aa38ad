"""Why the supervisor does not go on with what it is given."""


class StartRefused(Exception):
    """The gateway cannot work with these sources; the text says why, and where: one finding a line."""
