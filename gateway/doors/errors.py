"""What keeps a door shut at start."""


class CannotListen(OSError):
    """A door's own address cannot be bound; the text names it."""
