"""What changes between two matrices: every change, and nothing else."""

from policies.engine import Engine
from policies.load import build_bundle, read_folder
from roles.matrix import matrix
from roles.matrix_diff import Difference, differences
from roles.matrix_model import Matrix
from tests.builders.questions import ROOT, real_catalogue, real_engine

ACTIONS = ("payment:refund", "data:see_pii", "order:read")


def said(*edits: tuple[str, str]) -> Matrix:
    """The matrix of the shipped policies with some text replaced."""
    files, schema = read_folder(ROOT / "policies")
    for old, new in edits:
        assert any(old in text for _, text in files)
        files = [(name, text.replace(old, new)) for name, text in files]
    return matrix(Engine(build_bundle(files, schema)), real_catalogue(), actions=ACTIONS)


def test_the_same_policies_have_no_differences() -> None:
    """Nor do others that come to the same."""
    assert differences(said(), said()) == ()
    same = said(("context.amount <= 50000", "!(context.amount > 50000)"))
    assert differences(said(), same) == ()


def test_a_limit_that_moves_is_one_cell() -> None:
    """The older answer first."""
    found = differences(said(), said(("context.amount <= 50000", "context.amount <= 60000")))
    assert found == (
        Difference(
            "payment:refund", "Manager", "own", ("Payment",), "if 1 <= amount <= 50000", "if 1 <= amount <= 60000"
        ),
    )


def test_types_with_the_same_change_stand_together() -> None:
    """All seven types of resource."""
    till = ',\n  action in [Action::"data:see_pii", Action::"data:see_payment"]'
    change = (f'principal in Role::"Cashier"{till}', f'principal in Role::"Support"{till}')
    found = differences(said(), said(change))
    assert [(each.role, each.before, each.after, len(each.resource_types)) for each in found] == [
        ("Cashier", "allow", "deny", 7),
        ("Manager", "allow", "deny", 7),
        ("Support", "deny", "allow", 7),
    ]


def test_who_crosses_tenants_is_compared_too() -> None:
    """A setting that no longer counts."""
    found = differences(said(), said((" && context.cross_tenant", "")))
    assert {(each.role, each.where) for each in found} == {("SuperAdmin", "other")}
    read = next(each for each in found if each.action == "order:read")
    assert (read.before, read.after) == ("from platform: if cross_tenant", "from platform: allow")


def test_what_one_side_does_not_have_is_absent() -> None:
    """A role that is new."""
    fewer = matrix(real_engine(), real_catalogue(), roles=("Cashier",), actions=("order:read",))
    both = matrix(real_engine(), real_catalogue(), roles=("Cashier", "Support"), actions=("order:read",))
    assert differences(fewer, both) == (Difference("order:read", "Support", "own", ("Order",), "absent", "allow"),)
    assert differences(both, fewer) == (Difference("order:read", "Support", "own", ("Order",), "allow", "absent"),)
