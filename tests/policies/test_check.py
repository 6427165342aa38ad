"""What `lychgate policy check` finds in a folder."""

import time
from pathlib import Path

from policies.check import check_bundle, check_folder, check_roles
from policies.errors import Finding
from policies.load import build_bundle, load_bundle
from tests.builders.questions import ROOT, real_bundle, real_catalogue

SCHEMA = """
entity Role; entity User in [Role]; entity Doc;
action "doc:read" appliesTo { principal: [User], resource: [Doc] };
"""


def folder_with(tmp_path: Path, text: str) -> Path:
    """A folder with one policy file."""
    (tmp_path / "schema.cedarschema").write_text(SCHEMA)
    (tmp_path / "doc.cedar").write_text(text)
    return tmp_path


def test_the_repository_has_no_finding() -> None:
    """Its policies are good, and name no role that is not in the catalogue."""
    assert check_folder(ROOT / "policies", real_catalogue().names) == []


def test_every_role_of_the_catalogue_is_in_a_policy() -> None:
    """A role that no policy names could do nothing."""
    assert real_bundle().roles == set(real_catalogue().names)


def test_what_cannot_be_loaded_is_found(tmp_path: Path) -> None:
    """The findings are those that loading would refuse, and the roles do not matter then."""
    assert check_folder(folder_with(tmp_path, "permit (;"), ["X"]) == [
        Finding("doc.cedar", 1, 9, "unexpected token `;`")
    ]


def test_a_role_that_is_not_in_the_catalogue_is_found_where_it_stands(tmp_path: Path) -> None:
    """A typing error in a role's name would make a policy that silently never applies."""
    text = (
        '@id("a") @reason("r")\npermit (principal, action, resource)\nwhen { principal in [Role::"A", Role::"Typo"] };'
    )
    folder = folder_with(tmp_path, text)
    unknown = Finding("doc.cedar", 3, 33, "`Typo` is not a role of the catalogue", "unknown-role")
    assert check_folder(folder, ["A", "B"]) == [unknown]
    assert check_roles(load_bundle(folder), ["A", "B"]) == [unknown]
    assert check_folder(folder) == []


def test_a_role_written_oddly_is_found_all_the_same(tmp_path: Path) -> None:
    """Cedar allows blanks inside an entity's name."""
    text = '@id("a") @reason("r")\npermit (principal in Role :: "Typo", action, resource);'
    (finding,) = check_folder(folder_with(tmp_path, text), ["A"])
    assert (finding.file, finding.line, finding.column) == ("doc.cedar", 2, 22)


def test_comments_are_heard(tmp_path: Path) -> None:
    """What a comment allows is no finding; one about what was not looked for is not idle."""
    text = '@id("{}") @reason("r")\npermit (principal, action, resource);\n'
    above = "// lychgate: allow shadowed for now\n// lychgate: allow unreached-policy not yet\n"
    folder = folder_with(tmp_path, text.format("a") + text.format("b"))
    assert [(it.line, it.code) for it in check_folder(folder)] == [(3, "shadowed")]
    assert check_folder(folder_with(tmp_path, text.format("a") + above + text.format("b"))) == []


def test_a_thousand_policies_are_checked_in_seconds() -> None:
    """All pairs are compared as sets; what is proved is proved once for all that ask the same."""
    one = '@id("p{0}") @reason("r") permit (principal == User::"u{0}", action, resource);'
    files = [("p.cedar", "\n".join(one.format(number) for number in range(1000)))]
    bundle = build_bundle(files, ("s", SCHEMA))
    began = time.process_time()
    assert check_bundle(bundle, files) == []
    assert time.process_time() - began < 5
