"""What can go wrong with roles.

RolesError
|- CatalogueError     roles.toml cannot be used; file, line and reason
|- TableErrors        decision tables that cannot be run; every finding with its place
|- ContextUnusable    a key or setting that security contexts cannot be signed or verified with
`- ContextRejected    a security context that must not be believed; code and reason
"""

from collections.abc import Iterable

from policies.errors import Finding


class RolesError(Exception):
    """The root of this package's errors."""


class TableErrors(RolesError):
    """Decision tables that cannot be run.

    Attributes:
        findings: At least one, sorted by place, each once.
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(sorted(set(findings)))
        super().__init__("\n".join(str(finding) for finding in self.findings))


class CatalogueError(RolesError):
    """`roles.toml` cannot be used.

    Attributes:
        file: Its name.
        line: Where, from 1; 0 where the whole file is meant.
        reason: Why, without a full stop.
    """

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


class ContextUnusable(RolesError):
    """Keys or settings from which no signer or verifier can be made. Says which, never the key."""


class ContextRejected(RolesError):
    """A security context that must not be believed.

    Attributes:
        code: What the caller is told: `unauthenticated` where nothing was sent, else `token_invalid`.
        reason: For logs: a fixed word of `roles.security_context.verifier.Reason`.
    """

    def __init__(self, reason: str, *, code: str = "token_invalid") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
