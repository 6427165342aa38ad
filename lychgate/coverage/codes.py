"""Every kind of finding of the coverage scanner, by its code: how grave, what it means, what to do. The one list."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from policies.lint.codes import Kind, Severity


def _error(meaning: str, remedy: str) -> Kind:
    return Kind(Severity.ERROR, meaning, remedy)


def _warning(meaning: str, remedy: str) -> Kind:
    return Kind(Severity.WARNING, meaning, remedy)


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "no-event": _error(
            "A handler changes something and emits no audit event on any path.",
            "Put the change into `with audit.recording(...)`, which records success and failure alike.",
        ),
        "success-path": _error(
            "A handler changes something and can answer without having emitted an event.",
            "Emit before each answer, or put the whole of it, early answers too, into `with audit.recording(...)`.",
        ),
        "error-path": _error(
            "A handler changes something and can fail without having emitted an event.",
            "Put what can fail into `with audit.recording(...)`, or emit in `except` for all exceptions, or `finally`.",
        ),
        "unknown-handler": _error(
            "Nobody can say by reading which code answers a route that changes something.",
            "Register a function or a class by its name; or say `# audit:ignore` and why at the registration.",
        ),
        "not-followed": _error(
            "The handler cannot be followed to its end.",
            "Make it simpler, or name the function that emits under `emitters` in the service's configuration.",
        ),
        "unreadable": _error(
            "A file of the service cannot be read as Python.",
            "Correct it, or name it under `exclude` in the service's configuration.",
        ),
        "no-handlers": _error(
            "No handler was found in the service at all.",
            "Name the folder that has the handlers in it.",
        ),
        "ignore-without-reason": _error(
            "`# audit:ignore` gives no reason, and is not heeded.",
            "Say after it why nobody needs to know of this change.",
        ),
        "ignore-unneeded": _warning(
            "`# audit:ignore` stands at a handler that is covered or changes nothing.",
            "Take it away, so that it hides nothing later.",
        ),
        "newly-uncovered": _error(
            "A handler is uncovered that was not there, or was covered, before the change.",
            "Emit its event; a former gap is no reason for a new one.",
        ),
        "observed-silent": _error(
            "A handler that is held to be covered ran and ended without an event.",
            "Find the path that the scanner does not see, and emit there; report the scanner's error.",
        ),
        "observed-emitting": _error(
            "A handler that is held to be uncovered emitted an event whenever it ran, in success and in failure.",
            "Name its emitter under `emitters`, if there is one the scanner does not know.",
        ),
        "observed-changing": _error(
            "A handler that is held to change nothing emitted the event of a change.",
            "Name its writer under `writers`.",
        ),
        "observed-unknown": _error(
            "A handler ran that the scanner has not found.",
            "Name the folder it is in; or register it in a way that can be read.",
        ),
    }
)
"""Code to kind."""
