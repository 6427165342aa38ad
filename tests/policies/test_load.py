"""Loading: what is refused, and where it says the fault is."""

from pathlib import Path

import pytest

from policies.errors import Finding, PolicyErrors
from policies.load import build_bundle, load_bundle, parse_findings, read_folder
from policies.model import Effect
from tests.builders.questions import ROOT

SCHEMA = (
    "schema.cedarschema",
    """
entity Role in [Role];
entity User in [Role] = { tenant: String };
entity Doc = { tenant: String };
action "doc:read", "doc:write" appliesTo { principal: [User], resource: [Doc], context: { size?: Long } };
""",
)
GOOD = '@id("good") @reason("r")\npermit (principal, action == Action::"doc:read", resource);\n'


def findings(text: str, schema: tuple[str, str] = SCHEMA, name: str = "doc.cedar") -> list[tuple[int, int, str]]:
    """Line, column and reason of everything that is wrong with a file."""
    with pytest.raises(PolicyErrors) as caught:
        build_bundle([(name, text)], schema)
    return [(found.line, found.column, found.reason) for found in caught.value.findings]


def test_the_repository_s_policies_load() -> None:
    """The real folder has no finding, and every policy is under its file's name."""
    bundle = load_bundle(ROOT / "policies")
    assert len(bundle.policies) > 30
    assert {policy.id.split(".")[0] + ".cedar" for policy in bundle.policies.values()} == {
        policy.file for policy in bundle.policies.values()
    }


def test_a_policy_keeps_what_was_written() -> None:
    """Id, effect, reason, place and text are the author's."""
    (policy,) = build_bundle([("doc.cedar", "// first\n" + GOOD)], SCHEMA).policies.values()
    assert (policy.id, policy.effect, policy.reason) == ("doc.good", Effect.ALLOW, "r")
    assert (policy.file, policy.line, policy.text + "\n") == ("doc.cedar", 2, GOOD)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n  permit (principal, action == , resource);", (2, 32, "unexpected token `,`")),
        ("permit (principal, action, resource)\nwhen { 1 + };", (2, 12, "unexpected token `}`")),
        ("permit (principal, action, resource) when { a ] b };", (1, 47, "unexpected token `]`")),
        ("permit (principal, action resource) when { 1 };", (1, 27, "unexpected token `resource`")),
        ("permit (principal, action, );", (1, 1, "this policy is missing the `resource` variable in the scope")),
        ("permit (principal, action, resource) when ;", (1, 43, "unexpected token `;`")),
        ("permit (principal, action, resource)", (1, 36, "unexpected end of input")),
        ('permit (principal, action, resource) when { "open };', (1, 45, "invalid token")),
        ("permit (principal, act, resource);", (1, 20, "found an invalid variable in the policy scope: act")),
        ("allow (principal, action, resource);", (1, 1, "invalid policy effect: allow")),
        ("permit (principal, action, resource)\nwhen { nope(1) };", (2, 8, "`nope` is not a valid function")),
        ('@id("a") @id("b") permit (principal, action, resource);', (1, 1, "duplicate annotation: @id")),
        ("permit (principal, action, resource);", (1, 1, "a policy without an `@id`")),
        ('@id("") @reason("r") permit (principal, action, resource);', (1, 1, "a policy without an `@id`")),
        ('@id("a") permit (principal, action, resource);', (1, 1, "the policy `a` has no `@reason`")),
    ],
)
def test_a_statement_that_does_not_parse_is_found_at_its_fault(text: str, expected: tuple[int, int, str]) -> None:
    """The finding names line and column of the very token, and the file's good policies do not hide it."""
    assert findings(text) == [expected]
    line, column, reason = expected
    assert findings(GOOD + text) == [(line + 2, column, reason)]


@pytest.mark.parametrize(
    ("scope", "condition", "line", "reason"),
    [
        ('principal in Rolle::"x", action, resource', "true", 2, "unrecognized entity type `Rolle`"),
        ('principal, action == Action::"doc:nope", resource', "true", 2, 'unrecognized action `Action::"doc:nope"`'),
        (
            'principal, action == Action::"doc:read", resource',
            "context has size && context.sise > 1",
            3,
            'attribute `sise` in context for Action::"doc:read" not found',
        ),
        (
            "principal, action, resource",
            "context.size > 1",
            3,
            'unable to guarantee safety of access to optional attribute `size` in context for Action::"doc:read"',
        ),
        ("principal, action, resource", "principal.tenant == 1", 3, "the types Long and String are not compatible"),
        ("principal, action, resource", "1 + 2", 3, "unexpected type: expected Bool but saw Long"),
    ],
)
def test_a_policy_that_does_not_fit_the_schema_is_found(scope: str, condition: str, line: int, reason: str) -> None:
    """Types, attributes and actions are checked before anything is decided with them."""
    text = f'@id("bad") @reason("r")\npermit ({scope})\nwhen {{ {condition} }};'
    found = findings(GOOD + text)
    assert any(at == line + 2 and said.startswith(reason) for at, _, said in found), found


def test_a_fault_in_every_action_is_told_once() -> None:
    """A policy over many actions fails in each of them: the first speaks for the others."""
    ((_, _, reason),) = findings(
        '@id("x") @reason("r") permit (principal, action, resource) when { context.size > 1 };'
    )
    assert reason.endswith('Action::"doc:read" (and 1 more like it)')


def test_every_fault_is_told_at_once() -> None:
    """A parse error, a missing id and a wrong type in one go, in the order of the file."""
    text = (
        "permit (;\n"
        "permit (principal, action, resource);\n"
        '@id("t") @reason("r") permit (principal, action, resource) when { 1 };\n'
    )
    assert [line for line, _, _ in findings(text)] == [1, 2, 3]


def test_an_id_is_there_once() -> None:
    """The second policy of the same id is refused and names the first; another file may use it again."""
    assert findings(GOOD + GOOD) == [(3, 1, "the id `doc.good` is taken at doc.cedar:1")]
    assert set(build_bundle([("a.cedar", GOOD), ("b.cedar", GOOD)], SCHEMA).policies) == {"a.good", "b.good"}


@pytest.mark.parametrize("local_id", ["with space", "dot.ted", "Upper", "back`tick", "-x", "x" * 65])
def test_an_id_is_plain(local_id: str) -> None:
    """It must survive messages, metrics and file names."""
    text = GOOD.replace("good", local_id)
    ((_, _, reason),) = findings(text)
    assert "is not a policy id" in reason


def test_a_file_s_name_must_fit_an_id_too() -> None:
    """The stem is half of every id."""
    ((_, _, reason),) = findings(GOOD, name="My Policies.cedar")
    assert "`My Policies.good` is not a policy id" in reason


def test_a_template_is_refused() -> None:
    """It decides nothing, and would look as if it did."""
    text = '@id("t") @reason("r") permit (principal == ?principal, action, resource);'
    assert findings(text) == [(1, 1, "a template decides nothing; write the policy out")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("entity User in;\n", (1, 15, "unexpected token `;`")),
        ("entity User;\nentity Doc = { a: Strng };", (2, 19, "failed to resolve type: Strng")),
        ("entity User;\n\nentity User;", (1, 8, "`User` is declared twice")),
    ],
)
def test_a_schema_that_does_not_parse_is_found_at_its_fault(text: str, expected: tuple[int, int, str]) -> None:
    """The schema's faults have places, too."""
    assert findings(GOOD, ("schema.cedarschema", text)) == [expected]


def test_a_folder_is_read_in_order(tmp_path: Path) -> None:
    """Files by name; anything else in the folder is left alone."""
    for name in ("b.cedar", "a.cedar", "notes.txt", "load.py"):
        (tmp_path / name).write_text(name)
    (tmp_path / SCHEMA[0]).write_text(SCHEMA[1])
    assert read_folder(tmp_path) == ([("a.cedar", "a.cedar"), ("b.cedar", "b.cedar")], SCHEMA)


def test_a_folder_that_cannot_be_read_says_what_is_missing(tmp_path: Path) -> None:
    """No schema, no policy, or bytes that are not UTF-8: a finding each."""
    with pytest.raises(PolicyErrors) as caught:
        read_folder(tmp_path)
    assert [found.reason for found in caught.value.findings] == [
        "no `.cedar` file here",
        "cannot be read: No such file or directory",
    ]
    (tmp_path / "x.cedar").write_bytes(b"ok\n\xff")
    (tmp_path / SCHEMA[0]).write_text(SCHEMA[1])
    with pytest.raises(PolicyErrors) as caught:
        read_folder(tmp_path)
    assert caught.value.findings == (Finding("x.cedar", 2, 0, "not UTF-8", "unreadable"),)


def test_a_file_is_read_without_its_schema() -> None:
    """What Cedar cannot read is found; what the schema or we would have against it is not asked."""
    assert parse_findings("p.cedar", "permit (principal, action, resource);") == []
    (found,) = parse_findings("p.cedar", "\npermit (principal, , resource);\n")
    assert (found.file, found.line, found.column, found.code) == ("p.cedar", 2, 20, "syntax")
