"""What ends a command early, and the exit code it ends with.

    LychgateError          exit_code 2: usage, configuration, or the machine
    |- PortBusy            somebody else listens there
    |- StateBusy           another process runs on the same state folder
    |- PostgresFailed      the server cannot be prepared or started
    |- ConfigurationError  the configuration is wrong; says where
    `- ChildFailed         exit_code 1: a process of the stack did not come up, or died

Messages are for the person at the terminal: what, where, and what to do.
"""


class LychgateError(Exception):
    """A reason to stop, already worded for people."""

    exit_code = 2


class PortBusy(LychgateError):
    """The port is taken.

    Attributes:
        port: Which one.
    """

    def __init__(self, port: int, holder: str | None, what: str) -> None:
        by = f" by {holder}" if holder else ""
        super().__init__(f"port {port} ({what}) is already in use{by}; stop it or choose another port")
        self.port = port


class StateBusy(LychgateError):
    """Another live process owns the folder."""


class PostgresFailed(LychgateError):
    """PostgreSQL cannot be prepared or started here."""


class ConfigurationError(LychgateError):
    """The configuration is wrong."""


class ChildFailed(LychgateError):
    """A process of the stack did not come up, or died; its own exit code 2 means that the configuration is wrong."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
