"""OpenAPI documents, as small as the question needs, and what an import makes of them."""

import json
from typing import Any

from lychgate.routes_import.document import Document, read_document
from lychgate.routes_import.merge import Existing, Merged, merge
from lychgate.routes_import.model import About, Proposal
from lychgate.routes_import.propose import Import, Wish, propose
from tests.builders.questions import real_bundle

WISH = Wish(service="order", prefix="order")


def make_document(paths: dict[str, Any], **more: Any) -> Document:
    """A document with these paths."""
    said = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": paths, **more}
    return read_document("openapi.json", json.dumps(said).encode())


def endpoint(answer: Any = None, body: Any = None, media: str = "application/json", **more: Any) -> dict[str, Any]:
    """An operation that answers with this schema, and takes one."""
    responses = {"204": {"description": "done"}}
    if answer is not None:
        responses = {"200": {"description": "ok", "content": {"application/json": {"schema": answer}}}}  # type: ignore[dict-item]
    request = {} if body is None else {"requestBody": {"required": True, "content": {media: {"schema": body}}}}
    return {"responses": responses, **request, **more}


def imported(paths: dict[str, Any], wish: Wish = WISH, **more: Any) -> Import:
    """What is proposed for these paths, against the real policies."""
    return propose(make_document(paths, **more), wish, real_bundle())


def only(paths: dict[str, Any], wish: Wish = WISH, **more: Any) -> Proposal:
    """The one route of a document with one endpoint."""
    [proposal] = imported(paths, wish, **more).proposals
    return proposal


def merged(paths: dict[str, Any], old: Existing | None = None, wish: Wish = WISH, **more: Any) -> Merged:
    """The file that comes of it."""
    return merge(old or Existing("routes.toml"), imported(paths, wish, **more), wish, real_bundle())


def asked(proposal: Proposal) -> dict[About, bool]:
    """What is asked about a route, and whether it is closed until then."""
    return {it.about: it.closed for it in proposal.questions}
