"""The texts of decision tables in, cases out; all of them are refused on one error. Pure.

A file has one of three shapes: a list of cases, a role table (which of the roles listed may do which action), or the
JSON of `cedar run-tests`. Each shape has a module; here is only what they share.
"""

from collections.abc import Callable, Iterable, Iterator

from policies.bundle import Bundle
from policies.errors import Finding
from policies.load import SourceText
from roles.catalogue import Catalogue
from roles.errors import TableErrors
from roles.tables.case import Case
from roles.tables.case_list import read_case
from roles.tables.cedar_json import read_cedar_case
from roles.tables.document import Node, Refused, parse
from roles.tables.role_table import read_role_table

_Reader = Callable[[str, Node, int], Case]


def read_tables(texts: Iterable[SourceText], bundle: Bundle, catalogue: Catalogue) -> tuple[Case, ...]:
    """Read tables.

    Args:
        texts: Name and text of each file; `.json` is Cedar's own form.
        bundle: Says which actions there are and what they are about.
        catalogue: Says which roles there are.

    Returns:
        The cases, in order.

    Raises:
        TableErrors: The first thing that is wrong with each file or case, with its place.
    """
    cases: list[Case] = []
    findings: list[Finding] = []
    for file, text in texts:
        names: dict[str, int] = {}
        for read in _readings(file, text, bundle, catalogue):
            if isinstance(read, Finding):
                findings.append(read)
            elif read.name in names:
                findings.append(
                    Finding(file, read.line, 0, f"the name `{read.name}` is taken in line {names[read.name]}")
                )
            else:
                names[read.name] = read.line
                cases.append(read)
    if findings:
        raise TableErrors(findings)
    return tuple(cases)


def _readings(file: str, text: str, bundle: Bundle, catalogue: Catalogue) -> Iterator[Case | Finding]:
    """Each case of a file, or what is wrong with it."""

    def listed(at: str, node: Node, number: int) -> Case:
        if at.endswith(".json"):
            return read_cedar_case(at, node, number, bundle)
        return read_case(at, node, bundle, catalogue)

    try:
        root = parse(file, text)
        if isinstance(root.value, dict):
            yield from read_role_table(file, root, bundle, catalogue)
        elif isinstance(root.value, list) and root.value:
            yield from _each(file, root.value, listed)
        else:
            reason = "a table is a list of cases, or a mapping with `roles` and `decisions`"
            yield Finding(file, root.line, root.column, reason)
    except Refused as exc:
        yield exc.finding


def _each(file: str, nodes: Iterable[Node], read: _Reader) -> Iterator[Case | Finding]:
    for number, node in enumerate(nodes, 1):
        try:
            yield read(file, node, number)
        except Refused as exc:
            yield exc.finding
