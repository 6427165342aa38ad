"""What the operations port itself lets people do, as routes, so that they are asked and recorded like any other."""

from typing import Final

from gateway.model import Route

SERVICE: Final = "gateway"
RESOURCE_TYPE: Final = "Gateway"
RESOURCE_ID: Final = "self"


def _route(route_id: str, method: str, path: str, action: str, *, changes: bool) -> Route:
    segments = tuple(path.split("/")[1:])
    return Route(
        id=route_id,
        method=method,
        template=path,
        segments=segments,
        params=(),
        service=SERVICE,
        action=action,
        resource_type=RESOURCE_TYPE,
        resource_id=RESOURCE_ID,
        changes=changes,
        durable=changes,
    )


STATUS: Final = _route("ops.status", "GET", "/internal/status", "ops:status", changes=False)
METRICS: Final = _route("ops.metrics", "GET", "/internal/metrics", "ops:status", changes=False)
METRICS_JSON: Final = _route("ops.metrics_json", "GET", "/internal/metrics.json", "ops:status", changes=False)
EXCHANGE: Final = _route("context.exchange", "POST", "/context/exchange", "context:exchange", changes=True)
EVALUATION: Final = _route("decision.evaluation", "POST", "/access/v1/evaluation", "decision:ask", changes=False)
EVALUATIONS: Final = _route("decision.evaluations", "POST", "/access/v1/evaluations", "decision:ask", changes=False)
SEARCH_SUBJECT: Final = _route(
    "decision.search_subject", "POST", "/access/v1/search/subject", "decision:ask", changes=False
)
SEARCH_RESOURCE: Final = _route(
    "decision.search_resource", "POST", "/access/v1/search/resource", "decision:ask", changes=False
)
SEARCH_ACTION: Final = _route(
    "decision.search_action", "POST", "/access/v1/search/action", "decision:ask", changes=False
)
EXPLAIN: Final = _route("ops.explain", "POST", "/explain", "ops:explain", changes=False)
REVOKE: Final = _route("ops.revoke", "POST", "/revocations", "ops:revoke", changes=True)
REVOCATIONS: Final = _route("ops.revocations", "GET", "/revocations", "ops:revoke", changes=False)
LIFT: Final = _route("ops.lift", "DELETE", "/revocations/{id}", "ops:revoke", changes=True)
