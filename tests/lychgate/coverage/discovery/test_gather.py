"""Where handlers are found, and how they are reached."""

from pathlib import Path

import pytest

from lychgate.coverage.model import State
from tests.builders.scanned import scanned


def _routes(folder: Path, **files: str) -> dict[str, list[str]]:
    return {it.name: [str(route) for route in it.routes] for it in scanned(folder, **files).handlers}


def test_prefixes_are_put_together_through_modules(tmp_path: Path) -> None:
    """A router's own, those it is included under, in another file, under another name."""
    found = _routes(
        tmp_path,
        main="""
        from fastapi import FastAPI
        from api import v1 as first
        from api.v2 import router as second
        app = FastAPI()
        app.include_router(first.router, prefix="/v1")
        app.include_router(second, prefix="/v2")
        """,
        api__v1="""
        from fastapi import APIRouter
        PREFIX = "/orders"
        router = APIRouter(prefix=PREFIX)
        @router.post("/{order_id}" + "/pay")
        def pay(): pass
        """,
        api__v2="""
        from fastapi import APIRouter
        router: APIRouter = APIRouter()
        inner = APIRouter(prefix="/inner")
        @inner.delete("/x")
        def drop(): pass
        router.include_router(inner, prefix="/deep")
        """,
    )
    assert found == {"api.v1.pay": ["POST /v1/orders/{order_id}/pay"], "api.v2.drop": ["DELETE /v2/deep/inner/x"]}


def test_one_handler_with_two_routes_is_one(tmp_path: Path) -> None:
    """It counts once, and both ways to it are told."""
    found = _routes(
        tmp_path,
        shop="""
        from flask import Flask
        app = Flask(__name__)
        @app.post("/a")
        @app.route("/b", methods=["GET", "PUT"])
        def both(): pass
        app.add_url_rule("/c", view_func=both, methods={"DELETE"})
        """,
    )
    assert found == {"shop.both": ["DELETE /c", "GET|PUT /b", "POST /a"]}


@pytest.mark.parametrize(
    "code",
    [
        "import responses\n@responses.post('/x')\ndef f(): pass\n",
        "import requests\ndef f():\n    return requests.post('/x')\n",
        "class Box:\n    def post(self, path): return lambda f: f\nbox = Box()\n@box.post('/x')\ndef f(): pass\n",
        "from typer import Typer\napp = Typer()\n@app.command('/x')\ndef f(): pass\n",
    ],
)
def test_what_only_looks_like_a_route_is_none(tmp_path: Path, code: str) -> None:
    """A test tool's decorator, a client's call, a class of the service's own."""
    assert _routes(tmp_path, shop=code) == {}


@pytest.mark.parametrize(
    "made",
    ["from company.web import router", "def setup(router): pass\nrouter = setup(1)", "import web\nrouter = web.make()"],
)
def test_what_may_be_a_route_is_one(tmp_path: Path, made: str) -> None:
    """A router that comes from elsewhere: better a handler too many than one that nobody looks at."""
    assert _routes(tmp_path, shop=f"{made}\n@router.post('/x')\ndef f(): pass\n") == {"shop.f": ["POST /x"]}


def test_a_base_class_is_looked_at_in_what_derives_from_it(tmp_path: Path) -> None:
    """Once for each class that is a view, not for the base."""
    found = _routes(
        tmp_path,
        base="from flask.views import MethodView\nclass Base(MethodView):\n    def post(self): pass\n",
        shop="from base import Base\nclass A(Base): pass\nclass B(Base):\n    def put(self): pass\n",
    )
    assert set(found) == {"shop.A.post", "shop.B.post", "shop.B.put"}


def test_django_without_its_urls(tmp_path: Path) -> None:
    """Where the addresses are in another repository each view function counts, by whatever method."""
    found = _routes(
        tmp_path,
        views="""
        from django.http import HttpResponse
        def show(request): pass
        def _help(request): pass
        def other(x): pass
        """,
    )
    assert found == {"views.show": ["ANY ?"]}


def test_a_router_that_nobody_knows_has_handlers_too(tmp_path: Path) -> None:
    """Of a library's class, of a class of one's own with a base out of sight; with no path, or one that is computed."""
    found = _routes(
        tmp_path,
        app="""
        from library import Router, paths
        from unittest import mock
        class Own(Router): pass
        one, two = Router(prefix="/one"), 2
        own = Own()
        class Made(Router if two else make()): pass
        made = Made()
        class Mine:
            def post(self, path): return lambda view: view
        mine = Mine()
        @made.post("")
        def g(): pass
        @mine.post("/mine")
        def h(): pass
        @one.post("")
        def a(): pass
        @own.put("")
        def b(): pass
        @own.delete(paths.ITEM)
        def c(): pass
        @mock.patch(paths.ITEM)
        def d(): pass
        @own.post()
        def e(): pass
        @own.post("no path")
        def f(): pass
        """,
    )
    assert found == {
        "app.a": ["POST "],
        "app.b": ["PUT "],
        "app.c": ["DELETE ?"],
        "app.g": ["POST "],
    }


def test_aiohttp_says_the_method_first(tmp_path: Path) -> None:
    """In a table, in a decorator, at a resource, at the router."""
    found = _routes(
        tmp_path,
        app="""
        from aiohttp import web
        routes = web.RouteTableDef()
        @routes.route("POST", "/a")
        async def a(request): pass
        async def b(request): pass
        async def c(request): pass
        async def d(request): pass
        async def e(request): pass
        def setup(app: web.Application):
            app.add_routes([web.route("PUT", "/b", b), web.route("*", "/e", e)])
            resource = app.router.add_resource("/c")
            resource.add_route("DELETE", c)
            app.router.add_route("PATCH", "/d", d)
        """,
    )
    assert found == {
        "app.a": ["POST /a"],
        "app.b": ["PUT /b"],
        "app.c": ["DELETE "],
        "app.d": ["PATCH /d"],
        "app.e": ["ANY /e"],
    }


def test_a_view_changes_something_in_what_the_framework_calls(tmp_path: Path) -> None:
    """A redirect that counts a like, a page that counts a visit, a `dispatch` of one's own."""
    found = scanned(
        tmp_path,
        views="""
        from django.views.generic import RedirectView, TemplateView, View
        from models import Like
        class Toggle(RedirectView):
            def get_redirect_url(self): Like.objects.create()
        class Page(TemplateView):
            def get_context_data(self): Like.objects.create()
        class All(View):
            def dispatch(self, request): Like.objects.create()
        class Plain(TemplateView): pass
        """,
    ).handlers
    assert {it.name: it.state for it in found} == {
        "views.Toggle.get": State.UNCOVERED,
        "views.Page.get": State.UNCOVERED,
        "views.All.dispatch": State.UNCOVERED,
        "views.Plain.get": State.READING,
    }


def test_a_handler_of_two_routers_has_what_both_depend_on(tmp_path: Path) -> None:
    """A recorder of one router is no recorder of the other."""
    found = scanned(
        tmp_path,
        app="""
        from fastapi import APIRouter, Depends
        from audit.producer import AuditProducer
        audit = AuditProducer(None)
        def scope():
            with audit.recording("a.b.c"):
                yield
        recorded = APIRouter(dependencies=[Depends(scope)])
        plain = APIRouter()
        @recorded.post("/a")
        def a(db): db.commit()
        @recorded.post("/b")
        @plain.post("/b")
        def b(db): db.commit()
        @plain.post("/c")
        @recorded.post("/c")
        def c(db): db.commit()
        """,
    ).handlers
    assert {it.name: it.state for it in found} == {
        "app.a": State.COVERED,
        "app.b": State.UNCOVERED,
        "app.c": State.UNCOVERED,
    }


def test_decorators_of_a_class_wrap_each_of_its_methods(tmp_path: Path) -> None:
    """Flask's list, and Django's `method_decorator`; one that records nothing covers nothing."""
    found = scanned(
        tmp_path,
        trail="""
        from audit.producer import AuditProducer
        audit = AuditProducer(None)
        def noted(view):
            def wrapper(*args, **kwargs):
                with audit.recording("a.b.c"):
                    return view(*args, **kwargs)
            return wrapper
        def timed(view):
            def wrapper(*args, **kwargs):
                return view(*args, **kwargs)
            return wrapper
        """,
        flasks="""
        from flask.views import MethodView
        from trail import noted, timed
        class Base(MethodView):
            decorators = [timed, noted]
        class A(Base):
            def post(self): db.commit()
        class B(MethodView):
            decorators = [timed]
            def post(self): db.commit()
        """,
        djangos="""
        from django.utils.decorators import method_decorator
        from django.views.generic import View
        from trail import noted
        @method_decorator(noted, name="dispatch")
        class C(View):
            def post(self, request): request.user.save()
        @method_decorator(noted, name="get")
        class D(View):
            def post(self, request): request.user.save()
            @method_decorator(noted)
            def put(self, request): request.user.save()
        """,
    ).handlers
    assert {it.name: it.state for it in found} == {
        "flasks.A.post": State.COVERED,
        "flasks.B.post": State.UNCOVERED,
        "djangos.C.post": State.COVERED,
        "djangos.D.post": State.UNCOVERED,
        "djangos.D.put": State.COVERED,
    }
