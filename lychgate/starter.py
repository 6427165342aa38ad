"""The files a newcomer starts from: the configuration of the one-machine stack and everything it names.

They are the repository's own, in one place each: policies and roles in their packages, the rest at the top of the
tree, which the wheel carries beside this module. `lychgate up` and `config check` use them where they are in a folder
that has no configuration; `lychgate init` writes them out, to be edited.
"""

import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from lychgate.errors import ConfigurationError

CONFIG: Final = "lychgate.yaml"
_ROUTES: Final = "routes.toml"
_ROLES: Final = "roles/roles.toml"
_POLICIES: Final = "policies"
_TABLES: Final = "tests/cases/decisions"
_MUTANTS: Final = "tests/cases/mutants_allowed.yaml"
_HERE: Final = Path(__file__).parent


def config_file() -> Path:
    """The configuration of the one-machine stack."""
    return _top(CONFIG)


def named() -> dict[str, Any]:
    """What the configuration is told of where the files are that it names, since they are not in the folder at hand."""
    return {
        "gateway": {"routes_file": str(_top(_ROUTES)), "roles_file": str(_of("roles", "roles.toml"))},
        "policies": {
            "folder": str(_of("policies")),
            "tables": str(_top(_TABLES)),
            "mutants_allowed": str(_top(_MUTANTS)),
        },
    }


def write(folder: Path) -> list[Path]:
    """Write every file into a folder, which is made.

    Returns:
        What was written.

    Raises:
        ConfigurationError: One is there already, or cannot be written; no file of ours is left then.
    """
    wanted = {folder / name: source for name, source in _all()}
    there = [str(path) for path in wanted if path.exists() or path.is_symlink()]
    if there:
        raise ConfigurationError("\n".join(f"{path}: is there already" for path in there))
    made: list[Path] = []
    try:
        for path, source in wanted.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            made.append(path)
            with os.fdopen(descriptor, "wb") as file:
                file.write(source.read_bytes())
    except OSError as exc:
        for path in made:  # a part of them would be in the way of the next attempt
            path.unlink(missing_ok=True)
        raise ConfigurationError(f"{exc.filename or folder}: cannot be written: {exc.strerror}") from exc
    return list(wanted)


def _all() -> Iterator[tuple[str, Path]]:
    """Each file's name in a folder, and where it is."""
    for name in (CONFIG, _ROUTES, _MUTANTS):
        yield name, _top(name)
    yield _ROLES, _of("roles", "roles.toml")
    for source in sorted(_of("policies").iterdir()):
        if source.suffix in {".cedar", ".cedarschema"}:
            yield f"{_POLICIES}/{source.name}", source
    for source in sorted(_top(_TABLES).rglob("*")):
        if source.is_file():
            yield f"{_TABLES}/{source.relative_to(_top(_TABLES))}", source


def _top(name: str) -> Path:
    """A file of the top of the tree: beside us in a wheel, else in the checkout."""
    packed = _HERE / "starter_files" / Path(name).name
    return packed if packed.exists() else _HERE.parent / name


def _of(package: str, *names: str) -> Path:
    return Path(str(files(package).joinpath(*names)))
