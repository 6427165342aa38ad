"""Where entries stand."""

from gateway.route.places import entry_lines


def test_entries_are_found_however_they_are_spelled() -> None:
    """Blanks, quotes and comments."""
    text = '# x\n[[route]]\nid = "[[route]]"\n  [[ "route" ]] # y\n[[\'route\']]\n[route.context]\n'
    assert entry_lines(text, 3) == [2, 4, 5]


def test_what_cannot_be_told_is_not() -> None:
    """Entries in a list, or a header in a text of several lines: no place is better than a wrong one."""
    assert entry_lines("route = [{}, {}]", 2) == [0, 0]
    assert entry_lines('[[route]]\nid = """\n[[route]]\n"""\n', 1) == [0]
