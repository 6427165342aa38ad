"""What can go wrong with what is kept, for whoever asked for a change."""


class NotKept(Exception):
    """A change was not made: it cannot be put on disk. The message says why."""


class TooMany(Exception):
    """A change was not made: there are as many entries as may be."""


class JournalBroken(Exception):
    """A journal cannot be read, or is another process's. The message says where and why."""
