"""The names by which the five frameworks register handlers: the one home of what is known of them.

Sources: FastAPI 0.1xx `routing.py`, Starlette `routing.py`, Flask 3 `sansio/scaffold.py`, Django 5 `urls` and `views`,
Django REST framework 3 `generics.py` and `viewsets.py`, aiohttp 3 `web_urldispatcher.py` and `web_routedef.py`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

VERBS: Final = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "trace"})
"""Names of decorators and of the methods of classes."""

APPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "fastapi.FastAPI": "fastapi",
        "fastapi.APIRouter": "fastapi",
        "fastapi.routing.APIRouter": "fastapi",
        "fastapi.applications.FastAPI": "fastapi",
        "starlette.applications.Starlette": "starlette",
        "starlette.routing.Router": "starlette",
        "flask.Flask": "flask",
        "flask.Blueprint": "flask",
        "flask.app.Flask": "flask",
        "flask.blueprints.Blueprint": "flask",
        "aiohttp.web.Application": "aiohttp",
        "aiohttp.web.RouteTableDef": "aiohttp",
        "aiohttp.web.UrlDispatcher": "aiohttp",
    }
)
"""What handlers are registered at, by what it is made with."""

ROUTES: Final[Mapping[str, tuple[str, str | None]]] = MappingProxyType(
    {
        "starlette.routing.Route": ("starlette", None),
        "fastapi.routing.APIRoute": ("fastapi", None),
        "django.urls.path": ("django", "*"),
        "django.urls.re_path": ("django", "*"),
        "django.urls.conf.path": ("django", "*"),
        "django.conf.urls.url": ("django", "*"),
        "aiohttp.web.view": ("aiohttp", "*"),
        "aiohttp.web.route": ("aiohttp", ""),
        "aiohttp.web.RouteDef": ("aiohttp", ""),
        **{f"aiohttp.web.{verb}": ("aiohttp", verb.upper()) for verb in sorted(VERBS)},
    }
)
"""Functions that make a route of a path and a handler: the framework, and the method if the name says it; empty where
it is the first argument."""

VIEWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "flask.views.MethodView": "flask",
        "flask.views.View": "flask",
        "flask_restful.Resource": "flask",
        "flask_restx.Resource": "flask",
        "starlette.endpoints.HTTPEndpoint": "starlette",
        "aiohttp.web.View": "aiohttp",
        "aiohttp.web_urldispatcher.View": "aiohttp",
        "django.views.View": "django",
        "django.views.generic.": "django",
        "django.views.generic.base.View": "django",
        "rest_framework.views.APIView": "django",
        "rest_framework.generics.": "django",
        "rest_framework.viewsets.": "django",
        "rest_framework.mixins.": "django",
    }
)
"""Classes whose methods are handlers; with a dot at the end, all of a module."""

_CREATE = {"post": "perform_create"}
_UPDATE = {"put": "perform_update", "patch": "perform_update"}
_DESTROY = {"delete": "perform_destroy"}
INHERITED: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "CreateAPIView": _CREATE,
        "ListCreateAPIView": _CREATE,
        "UpdateAPIView": _UPDATE,
        "DestroyAPIView": _DESTROY,
        "RetrieveUpdateAPIView": _UPDATE,
        "RetrieveDestroyAPIView": _DESTROY,
        "RetrieveUpdateDestroyAPIView": _UPDATE | _DESTROY,
        "CreateView": {"post": "form_valid"},
        "UpdateView": {"post": "form_valid"},
        "FormView": {"post": "form_valid"},
        "RedirectView": {"get": "get_redirect_url"},
        "TemplateView": {"get": "get_context_data"},
        "ListView": {"get": "get_context_data"},
        "DetailView": {"get": "get_context_data"},
        "DeleteView": {"post": "form_valid", "delete": "form_valid"},
        "ModelViewSet": {
            "create": "perform_create",
            "update": "perform_update",
            "partial_update": "perform_update",
            "destroy": "perform_destroy",
        },
        "CreateModelMixin": {"create": "perform_create"},
        "UpdateModelMixin": {"update": "perform_update", "partial_update": "perform_update"},
        "DestroyModelMixin": {"destroy": "perform_destroy"},
    }
)
"""Classes that bring handlers of their own: handler to the method that a service writes for it."""

ACTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "list": "GET",
        "retrieve": "GET",
        "create": "POST",
        "update": "PUT",
        "partial_update": "PATCH",
        "destroy": "DELETE",
    }
)
"""The actions of a view set, and their methods."""

RESTRICTING: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "require_POST": ("POST",),
        "require_GET": ("GET",),
        "require_safe": ("GET", "HEAD"),
    }
)
"""Django's decorators that let only some methods through."""
LISTING: Final = frozenset({"require_http_methods", "api_view"})
"""Those that are given the methods."""
DECORATING: Final = ("decorators", "method_decorators")
"""Attributes of Flask's and flask_restful's view classes: decorators of each of its methods."""
TEST_TOOLS: Final = (
    "responses.",
    "unittest.mock.",
    "mock.",
    "respx.",
    "requests_mock.",
    "aioresponses.",
    "click.",
    "typer.",
    "httpx.",
    "requests.",
)
"""Whose decorators and calls look like registrations and are none."""


def view_framework(dotted: str) -> str | None:
    """The framework of a class whose methods are handlers."""
    for name, framework in VIEWS.items():
        if dotted == name or (name.endswith(".") and dotted.startswith(name)):
            return framework
    return None
