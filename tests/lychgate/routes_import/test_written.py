"""What is written is TOML and Cedar, whatever the document holds."""

import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.route.load import load_routes
from lychgate.routes_import.model import About, Question
from lychgate.routes_import.propose import Wish
from lychgate.routes_import.written import comment, declarations, header, quoted, quoted_key, toml
from policies.schema import Schema
from tests.builders.openapi import endpoint, imported
from tests.builders.questions import real_bundle

ODD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
SEGMENT = st.one_of(st.sampled_from(["orders", "items"]), ODD, ODD.map(lambda it: "{" + it + "}"))
PATHS = st.lists(SEGMENT, min_size=1, max_size=4).map(lambda it: "/" + "/".join(it))


@given(ODD)
def test_a_quoted_text_reads_as_itself(text: str) -> None:
    """As a value and as a key."""
    assert tomllib.loads(f"{quoted_key(text)} = {quoted(text)}") == {text: text}


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(PATHS, st.tuples(ODD, ODD, ODD), min_size=1, max_size=4))
def test_whatever_the_document_holds_the_gateway_reads_what_was_proposed(said: dict[str, Any]) -> None:
    """Names of paths, parameters, fields and media types are data: no line of them becomes a route or a key."""
    paths = {
        path: {
            "get": endpoint({"properties": {name: {"format": "email"}}}, parameters=[{"in": "query", "name": other}]),
            "post": endpoint(None, {"required": [name], "properties": {name: {}, "tenant_id": {}}}, media),
        }
        for path, (name, other, media) in said.items()
    }
    made = imported(paths)
    text = header("order") + toml(made.proposals, made.unwritten)
    routes = load_routes("routes.toml", text, real_bundle(), {"order": None}).routes
    assert [(it.method, it.template, it.service) for it in routes] == [
        (it.method, it.template, "order") for it in made.proposals
    ]
    assert all(not it.anonymous and not it.pass_authorization and not it.websocket for it in routes)
    comments = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(comments) == sum(toml([it], []).count("\n") - len(it.questions) for it in made.proposals)
    Schema("schema", real_bundle().schema.text + "\n" + declarations(made.proposals, real_bundle()))


def test_what_the_schema_lacks_is_suggested_for_it() -> None:
    """Types with their tenant, actions with what every context has; what is there already is not declared again."""
    wish = Wish(service="shelf", prefix="shelf")
    made = imported({"/shelves": {"get": endpoint()}, "/shelves/{s}": {"get": endpoint(), "post": endpoint()}}, wish)
    text = declarations(made.proposals, real_bundle())
    assert text == (
        "entity Shelve = { tenant: String };\n\n"
        'action "shelf:list",\n       "shelf:post",\n       "shelf:read"\n'
        "  appliesTo { principal: [User], resource: [Shelve], context: { now: datetime, cross_tenant: Bool } };\n"
    )
    Schema("schema", real_bundle().schema.text + "\n" + text)
    assert declarations(imported({"/orders": {"get": endpoint()}}).proposals, real_bundle()) == ""


def test_a_comment_is_one_line_whatever_is_asked() -> None:
    """Also where a text of the document came through unshown."""
    line = comment(Question("GET /a", About.PATH, 'a\n[[route]]\nid = "x"\u2028\x1b', closed=True), "GET /a")
    assert line == '# decide: GET /a: path (closed): a?[[route]]?id = "x"??'
