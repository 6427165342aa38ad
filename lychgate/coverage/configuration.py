"""What the command is given -> the services to scan, each with its configuration. The reader of the files beside them.

What `lychgate.yaml` says of a service comes first: it is not in the tree that is scanned, where whoever changes the
code can change it. A service's own file is `coverage.toml` in its folder, else the section `[tool.lychgate.coverage]`
of the nearest `pyproject.toml` at or above it. A file may speak of several services, each with its paths.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lychgate.coverage.settings import CoverageSettings, ServiceCoverage
from lychgate.coverage.vocabulary import Own
from lychgate.errors import ConfigurationError

FILE = "coverage.toml"


@dataclass(frozen=True, slots=True)
class Target:
    """A service to scan.

    Attributes:
        name: Its name.
        paths: Its files and folders.
        told: What is said of it.
        rest: Whether it is only what no other service of its folder has: it may have no handler.
    """

    name: str
    paths: tuple[Path, ...]
    told: ServiceCoverage
    rest: bool = False

    @property
    def own(self) -> Own:
        """The words it adds."""
        told = self.told
        return Own(told.emitters, told.writers, told.readers, frozenset(told.verbs))


def targets(paths: Sequence[Path], named: Sequence[str], settings: CoverageSettings, base: Path) -> list[Target]:
    """What to scan.

    Args:
        paths: Folders and files; each is a service, or several if its own file says so.
        named: `NAME=PATH`.
        settings: The section of `lychgate.yaml`, whose services are scanned when nothing else is named.
        base: The folder that its paths start at.

    Raises:
        ConfigurationError: A path is not there, a name comes twice, a file is wrong; says where.
    """
    found: list[Target] = []
    for text in named:
        name, equals, where = text.partition("=")
        if not equals or not name or not where:
            raise ConfigurationError(f"--service {text}: is not NAME=PATH")
        whole = _there(Path(where))
        told = settings.services.get(name) or _beside(whole).get(name) or _beside(whole).get("")
        found.append(Target(name, (whole,), told or ServiceCoverage()))
    for path in paths:
        found += _of_path(_there(path), settings)
    if not paths and not named:
        for name, told in settings.services.items():
            if not told.paths:
                raise ConfigurationError(f"coverage.services.{name}.paths: this service has no paths")
            found.append(Target(name, tuple(_there(base / it) for it in told.paths), told))
    if not found:
        raise ConfigurationError("nothing to scan: name a folder, or set coverage.services")
    names = [target.name for target in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigurationError(f"two services are named `{twice}`; name them with --service NAME=PATH")
    return found


def _there(path: Path) -> Path:
    if not path.exists():
        raise ConfigurationError(f"{path}: there is no such file or folder")
    return path


def _of_path(path: Path, settings: CoverageSettings) -> list[Target]:
    beside = _beside(path)
    folder = path if path.is_dir() else path.parent
    split = {name: told for name, told in beside.items() if name}
    if split and path.is_dir():
        found = [
            Target(
                name, tuple(_there(folder / it) for it in told.paths) or (path,), settings.services.get(name) or told
            )
            for name, told in split.items()
        ]
        taken = tuple(
            pattern
            for it in (path for told in split.values() for path in told.paths)
            for pattern in ((it.as_posix(), f"{it.as_posix()}/*") if (folder / it).is_dir() else (it.as_posix(),))
        )
        # a file that is added and named nowhere must not go unseen
        return [*found, Target(path.resolve().name, (path,), ServiceCoverage(exclude=taken), rest=True)]
    name = path.resolve().stem if path.is_file() else path.resolve().name
    return [Target(name, (path,), settings.services.get(name) or beside.get("") or ServiceCoverage())]


def _beside(path: Path) -> dict[str, ServiceCoverage]:
    """What the file beside a service says: by name, or under `""` where it names none."""
    folder = (path if path.is_dir() else path.parent).resolve()
    own = folder / FILE
    if own.is_file():
        return _told(_toml(own), own)
    for above in (folder, *folder.parents):
        project = above / "pyproject.toml"
        if project.is_file():
            section = _toml(project).get("tool", {}).get("lychgate", {}).get("coverage")
            return _told(section, project) if isinstance(section, dict) else {}
    return {}


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as exc:
        raise ConfigurationError(f"{file}: cannot be read: {exc}") from exc


def _told(values: dict[str, Any], file: Path) -> dict[str, ServiceCoverage]:
    """A file that names services, or one that speaks of the only one."""
    if "services" in values:
        try:
            return dict(CoverageSettings(**values).services)
        except ValidationError as exc:
            raise ConfigurationError(_complaints(exc, file)) from None
    try:
        return {"": ServiceCoverage(**values)}
    except ValidationError as exc:
        raise ConfigurationError(_complaints(exc, file)) from None


def _complaints(exc: ValidationError, file: Path) -> str:
    errors = exc.errors(include_url=False, include_input=False, include_context=False)
    lines = []
    for error in errors:
        what = "there is no such key" if error["type"] == "extra_forbidden" else error["msg"]
        lines.append(f"{file}: {'.'.join(map(str, error['loc']))}: {what[:1].lower()}{what[1:]}")
    return "\n".join(lines)
