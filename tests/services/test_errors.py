"""The services' errors."""

from services import errors
from services.errors import Conflict, Declined, NotFound, ServiceError


def kinds() -> list[type[ServiceError]]:
    """Every error of the tree."""
    return [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, ServiceError)]


def test_every_error_is_in_the_tree_that_is_drawn() -> None:
    """The module's docstring names every error there is."""
    assert errors.__doc__ is not None
    assert [kind.__name__ for kind in kinds() if kind.__name__ not in errors.__doc__] == []


def test_an_error_says_its_code_and_nothing_else() -> None:
    """What is raised carries a word for the caller; the kind of thing not found stays inside."""
    assert (NotFound("customer").code, str(NotFound("customer"))) == ("not_found", "not_found")
    assert (Conflict("out_of_stock").status, Conflict("out_of_stock").code) == (409, "out_of_stock")
    declined = Declined(403, "forbidden", "R")
    assert (declined.status, declined.code, declined.missing_role) == (403, "forbidden", "R")
