"""The errors of roles."""

from roles.errors import CatalogueError, ContextRejected


def test_a_catalogue_error_prints_its_place() -> None:
    """`file:line: reason`, or without a line where the whole file is meant."""
    assert str(CatalogueError("roles.toml", 4, "no")) == "roles.toml:4: no"
    assert str(CatalogueError("roles.toml", 0, "no")) == "roles.toml: no"


def test_a_rejected_context_says_little_and_logs_more() -> None:
    """The caller is told a code; the reason is for the log."""
    error = ContextRejected("expired")
    assert (error.code, error.reason) == ("token_invalid", "expired")
    assert ContextRejected("missing", code="unauthenticated").code == "unauthenticated"
