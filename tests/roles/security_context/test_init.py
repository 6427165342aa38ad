"""The package's front door: what a gateway worker imports stays lean."""

import subprocess
import sys

import pytest

import roles.security_context as package

HEAVY = ("fastapi", "starlette", "httpx", "pydantic")


def loaded_by(statement: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_signing_does_not_load_a_framework() -> None:
    """A worker that signs pays for neither FastAPI nor httpx."""
    assert loaded_by("from roles.security_context import ContextSigner, SecurityContext, target_hash") == set()
    assert loaded_by("from roles.security_context import SecurityContextExtractor") >= {"fastapi", "httpx"}


def test_deciding_does_not_load_a_framework_either() -> None:
    """Nor does a worker that decides."""
    assert loaded_by("import policies.engine, policies.load, roles.entities, roles.load, roles.missing") == set()


def test_every_public_name_is_there() -> None:
    """What is promised can be had, and what is not raises as usual."""
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = package.Nonsense  # type: ignore[attr-defined]
