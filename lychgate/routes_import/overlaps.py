"""Paths that match a request in common: where gateway and service could mean two endpoints by one request. Pure.

The gateway gives such a request to the route with the left-most literal. Many frameworks give it to the endpoint that
was declared first, and a document has its paths in that order. Where the two differ, the gateway would decide on one
endpoint and the service run the other.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations

from gateway.model import Route
from gateway.route.crossing import crossings
from lychgate.routes_import.model import About, Proposal


def ask_about_overlaps(proposals: Sequence[Proposal], existing: Iterable[Route]) -> None:
    """Close what overlaps until somebody has said which endpoint is meant."""
    by_id = {proposal.id: proposal for proposal in proposals}
    for crossing in list(crossings([*existing, *(proposal.route() for proposal in proposals)])):
        text = f"`{crossing.winner.template}` and `{crossing.loser.template}` both match {crossing.common}"
        for route in (crossing.winner, crossing.loser):
            if route.id in by_id:
                by_id[route.id].ask(About.OVERLAP, f"{text}: which does the service run", closed=True)
    alike: defaultdict[tuple[str, int], list[Proposal]] = defaultdict(list)
    for proposal in proposals:
        alike[proposal.method, len(proposal.segments)].append(proposal)
    for group in alike.values():
        for one, other in combinations(group, 2):
            narrow, wide = (one, other) if _is_within(one, other) else (other, one)
            if _is_within(narrow, wide) and wide.place < narrow.place:
                text = f"`{wide.template}` comes before it in the document: does the service run that one instead"
                narrow.ask(About.OVERLAP, text, closed=True)


def _is_within(narrow: Proposal, wide: Proposal) -> bool:
    """Whether all that one path matches is matched by the other."""
    pairs = zip(narrow.segments, wide.segments, strict=True)
    return all(right is None or left == right for left, right in pairs)
