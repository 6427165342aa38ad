"""Two reports -> the handlers that are newly uncovered. Pure.

A handler is the same if it has the same name in the same service; if its name is gone from one of the two, it is the
same if its body is, or one of its routes: it was renamed or moved. Whoever was uncovered and still is, is no news.
"""

from collections.abc import Iterable

from lychgate.coverage.model import Finding, Handler, Report


def newly_uncovered(before: Report, now: Report) -> tuple[Finding, ...]:
    """A finding for each handler that has become uncovered, or is new and uncovered."""
    old = {(it.service, it.name): it for it in before.handlers}
    kept = {(it.service, it.name) for it in now.handlers}
    gone = [it for it in before.handlers if (it.service, it.name) not in kept]
    found = []
    for handler in now.handlers:
        if not handler.lacking:
            continue
        former = old.get((handler.service, handler.name))
        if former is None:
            former = _moved(handler, gone)
            if former is not None:
                gone.remove(former)  # two new ones are not both the one old one
        if former is None:
            found.append(Finding(handler.place, "newly-uncovered", "is new, and uncovered", handler.name))
        elif not former.lacking:
            reason = f"was {former.state.value} before ({former.place}), and is uncovered now"
            found.append(Finding(handler.place, "newly-uncovered", reason, handler.name))
    return tuple(found)


def _moved(handler: Handler, gone: Iterable[Handler]) -> Handler | None:
    """The handler that this one was: the same body first, then the same route of the same service."""
    candidates = list(gone)
    for former in candidates:
        if former.fingerprint == handler.fingerprint:
            return former
    routes = {(method, it.path) for it in handler.routes for method in it.methods if it.path is not None}
    for former in candidates:
        theirs = {(method, it.path) for it in former.routes for method in it.methods if it.path is not None}
        if former.service == handler.service and routes & theirs:
            return former
    return None
