"""Where in a policy the fault is that Cedar only names."""

import pytest

from policies.load import policy_tree
from policies.pinpoint import pinpoint

TEXT = '@permit("x") permit (principal, action, resource)\nwhen { context.a && bad }\nunless { context.b || worse };'


def at(text: str, fault: str) -> str:
    """The words from where the fault is found; a policy with these words is refused."""
    return text[pinpoint(text, policy_tree(text), lambda tried: fault in tried) :]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("context.a", "context.a && "),
        ("context.c", "context.c }\nunless"),
        ("context.b", "context.b || "),
        ("context.d", "context.d };"),
        ("permit", "principal, action"),
        ("nowhere", "principal, action"),
    ],
)
def test_the_first_condition_with_the_fault_is_the_place(fault: str, words: str) -> None:
    """Of scope and conditions in their order; the scope where nothing can be told."""
    text = TEXT.replace("bad", "context.c").replace("worse", "context.d")
    assert at(text, fault).startswith(words)
