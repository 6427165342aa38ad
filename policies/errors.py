"""What can go wrong with policies.

    PoliciesError
    |- PolicyErrors     a bundle that is refused as a whole; every finding with its place
    |- UnknownAction    an action the schema does not declare
    |- BundleRefused    a signed bundle, or a key for one, that is not as it must be
    `- NoDecision       Cedar could not be asked; a deny, and our own fault

A policy that fails for one question is none of these: it is a value, `policies.model.PolicyError`.
"""

from collections.abc import Iterable

import msgspec


class Finding(msgspec.Struct, frozen=True, order=True, gc=False):
    """One thing that is wrong with a policy file; sorts by place.

    Attributes:
        file: The file's name.
        line: From 1; 0 where the whole file is meant.
        column: From 1, in characters; 0 where the whole file is meant.
        reason: Why, lower case, without a full stop, what the author wrote in backticks.
        code: What kind of fault it is, one of `policies.lint.codes.CODES`: stable, where reasons are worded anew.
    """

    file: str
    line: int
    column: int
    reason: str
    code: str = "syntax"

    def __str__(self) -> str:
        """`file:line: reason`, the form editors jump to."""
        return f"{self.file}:{self.line}: {self.reason}" if self.line else f"{self.file}: {self.reason}"


class PoliciesError(Exception):
    """The root of this package's errors."""


class PolicyErrors(PoliciesError):
    """A bundle that is refused as a whole.

    Attributes:
        findings: At least one, sorted by place, each once.
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(sorted(set(findings)))
        super().__init__("\n".join(str(finding) for finding in self.findings))


class UnknownAction(PoliciesError, LookupError):
    """An action the schema does not declare."""

    def __init__(self, action: str) -> None:
        super().__init__(f"the schema declares no action `{action}`")
        self.action = action


class NoDecision(PoliciesError):
    """Cedar could not be asked: the question does not fit the schema. Whoever sees this refuses, and it is our fault.

    Attributes:
        reason: Cedar's words without values of the request.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BundleRefused(PoliciesError):
    """A signed bundle, or a key for one, that is not as it must be.

    Attributes:
        reason: Why, without the file's name.
        file: Which file, where it is known.
    """

    def __init__(self, reason: str, file: str = "") -> None:
        super().__init__(f"{file}: {reason}" if file else reason)
        self.reason = reason
        self.file = file
