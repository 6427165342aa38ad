"""Where handlers are found, and how they are reached."""

from pathlib import Path

import pytest

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
