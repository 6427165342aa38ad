"""What a check finds in policies: everything `policies.load` refuses, and what `policies.lint` proves."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from policies.bundle import Bundle
from policies.errors import Finding, PolicyErrors
from policies.lexer import cut
from policies.lint.claim import claims_of
from policies.lint.covered import covered
from policies.lint.failing import failures
from policies.lint.never import alive, never_applies
from policies.lint.occasions import Occasion, unallowed, unreached
from policies.lint.roles import groups, idle_roles, unknown_roles
from policies.lint.suppress import Block, suppressed
from policies.load import SourceText, build_bundle, read_folder

_OF_ROUTES: Final = frozenset({"unreached-policy", "route-without-permit", "anonymous-never-passes", "crossing-routes"})
_OF_ROLES: Final = frozenset({"unknown-role", "idle-role"})


class Catalogue(msgspec.Struct, frozen=True):
    """The roles there are, as far as policies are concerned.

    Attributes:
        held: Each role with all that come with it, itself included.
        file: Where they are written.
        lines: The line of each.
        always: Those that must be there whether a policy names them or not.
    """

    held: Mapping[str, frozenset[str]]
    file: str = ""
    lines: Mapping[str, int] = {}
    always: frozenset[str] = frozenset()


class Asked(msgspec.Struct, frozen=True):
    """What is asked of the policies.

    Attributes:
        occasions: Every question.
        findings: What is wrong with the routes by themselves.
        files: Name and text of each file they are written in.
        blocks: Where each route stands there.
    """

    occasions: Sequence[Occasion]
    findings: Sequence[Finding] = ()
    files: Sequence[SourceText] = ()
    blocks: Sequence[Block] = ()


def check_folder(folder: Path, roles: Collection[str] | None = None) -> list[Finding]:
    """Check a folder of policies by itself.

    Args:
        folder: With `*.cedar` files and `schema.cedarschema`.
        roles: The names of the role catalogue; None where there is none to compare with.

    Returns:
        Every finding, sorted by place; empty when all is well.
    """
    try:
        files, schema = read_folder(folder)
        bundle = build_bundle(files, schema)
    except PolicyErrors as exc:
        return list(exc.findings)
    catalogue = None if roles is None else Catalogue({name: frozenset({name}) for name in roles})
    return check_bundle(bundle, files, catalogue)


def check_roles(bundle: Bundle, roles: Collection[str]) -> list[Finding]:
    """Roles the policies name and the catalogue does not; the gateway refuses such a set, too."""
    return sorted(unknown_roles(claims_of(bundle, {}), roles))


def check_bundle(
    bundle: Bundle, files: Sequence[SourceText], catalogue: Catalogue | None = None, asked: Asked | None = None
) -> list[Finding]:
    """Check policies that load.

    Args:
        bundle: Them.
        files: The files they are from: comments in them are heard (`policies.lint.suppress`).
        catalogue: The roles; None where there are none to compare with.
        asked: The routes and whoever else asks; None where that is not known.

    Returns:
        Every finding, sorted by place. Each is proved; see `policies.lint`.
    """
    claims = claims_of(bundle, groups(catalogue.held) if catalogue else {})
    findings, dead = never_applies(claims, bundle)
    living = list(alive(claims, dead))
    findings += covered(living, bundle)
    findings += [finding for claim in living for finding in failures(claim, bundle)]
    if catalogue is not None:
        findings += unknown_roles(claims, catalogue.held)
        findings += [
            Finding(catalogue.file, line := catalogue.lines.get(role, 0), min(line, 1), _IDLE.format(role), "idle-role")
            for role in idle_roles(bundle, catalogue.held)
            if catalogue.file and role not in catalogue.always
        ]
    if asked is not None:
        findings += [*unreached(living, asked.occasions, bundle), *unallowed(living, asked.occasions, bundle)]
        findings += asked.findings
    skipped = (frozenset() if asked else _OF_ROUTES) | (frozenset() if catalogue else _OF_ROLES)
    texts, blocks = [*files, *(asked.files if asked else ())], [*_blocks(files), *(asked.blocks if asked else ())]
    return suppressed(findings, texts, blocks, skipped)


_IDLE: Final = "no policy names `{}`, or a role that comes with it"


def _blocks(files: Sequence[SourceText]) -> list[Block]:
    """Where each policy stands."""
    return [
        Block(name, statement.line, statement.line + statement.text.count("\n"))
        for name, text in files
        for statement in cut(name, text)
    ]
