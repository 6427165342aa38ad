"""Tables, and what docstrings say about attributes."""

from lychgate.reference.markdown import attributes, first_sentence, table


class Described:
    """What it is.

    More about it.

    Attributes:
        first: The first,
            which goes on.
        second: `a | b`.

    A word after the section is none of it.
    """


def test_attributes_are_read_from_the_docstring() -> None:
    """Continued lines belong to their attribute; what follows the section does not."""
    assert attributes(Described) == {"first": "The first, which goes on.", "second": "`a | b`."}
    assert first_sentence(Described) == "What it is."


def test_a_bar_does_not_end_a_cell() -> None:
    """It is escaped."""
    assert table(("a",), [("x | y",)]) == "| a |\n|---|\n| x \\| y |"
