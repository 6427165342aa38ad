"""The decision API's own files: read and checked with the gateway's other sources, in force together with them.

They stay in this process: workers are told nothing but their version, which stands in `Sources`. So whatever swaps the
sources swaps these, at the same moment, and what is refused leaves both as they were.
"""

import base64
from collections.abc import Callable
from pathlib import Path

import msgspec

from audit.private_file import read_private
from gateway.decision_settings import DecisionApiSettings
from gateway.ops.authzen.page import KEY_BYTES
from gateway.ops.authzen.sheets import Names, Sheets
from gateway.ops.door import Judged
from gateway.snapshot import Snapshot
from gateway.sources import Sources
from gateway.supervisor.errors import StartRefused
from policies.errors import PolicyErrors
from policies.load import SourceText, read_folder


class DecisionSources:
    """Every set of sheets that sources in hand speak of (`gateway.ops.authzen.endpoints.Deciding`).

    Args:
        settings: The section `decision_api`.
        strict: Whether any policy error denies, as in the gateway's own policies.

    Attributes:
        settings: The same.
        page_key: Of page tokens; None for one of this process alone.

    Raises:
        StartRefused: The file of that key cannot be used.
    """

    def __init__(self, settings: DecisionApiSettings, *, strict: bool) -> None:
        self.settings = settings
        self.page_key = page_key(settings)
        self._strict = strict
        self._known: dict[str, Sheets] = {}
        self._judged: Judged | None = None

    def attach(self, judged: Judged) -> None:
        """Say whose snapshot is in force."""
        self._judged = judged

    @property
    def snapshot(self) -> Snapshot:
        """The one that decides now."""
        if self._judged is None:
            raise RuntimeError("nothing is in force yet")
        return self._judged.snapshot

    def sheets(self, snapshot: Snapshot) -> Sheets:
        """What belongs to a snapshot."""
        return self._known[snapshot.decision_api]

    def beside(self, read: Callable[[], Sources]) -> Callable[[], Sources]:
        """A reader of the sources that reads these files, too.

        Args:
            read: Reads all other sources.

        Returns:
            The same, with the version of these files in what it returns. It raises `StartRefused` where they cannot be
            used.
        """
        return lambda: self.into(read())

    def into(self, sources: Sources) -> Sources:
        """Read these files for sources; returns the sources with their version.

        Raises:
            StartRefused: They cannot be used.
        """
        schema = (sources.schema.name, sources.schema.text)
        sheets = read_sheets(self.settings, schema, strict=self._strict)
        kept = [sheets.version]
        if self._judged is not None:
            kept.append(self._judged.snapshot.decision_api)
        self._known = {version: self._known[version] for version in kept if version in self._known}
        self._known.setdefault(sheets.version, sheets)
        return msgspec.structs.replace(sources, decision_api=sheets.version)

    @property
    def paths(self) -> tuple[Path, ...]:
        """What is read."""
        return tuple(path for path in (self.settings.folder, self.settings.entities) if path is not None)


def read_sheets(settings: DecisionApiSettings, live_schema: SourceText, *, strict: bool) -> Sheets:
    """Read and check the decision API's own files.

    Args:
        settings: Says which.
        live_schema: Of the policies in force; it counts where there is no folder.
        strict: Whether any policy error denies.

    Raises:
        StartRefused: One cannot be read, or does not hold; one finding a line.
    """
    try:
        own = read_folder(settings.folder) if settings.folder is not None else None
        entities = _text(settings.entities) if settings.entities is not None else None
        return Sheets.build(Names(settings.types, settings.actions), live_schema, own, entities, strict=strict)
    except PolicyErrors as exc:
        raise StartRefused("\n".join(f"decision_api: {finding}" for finding in exc.findings)) from exc


def page_key(settings: DecisionApiSettings) -> bytes | None:
    """The key of page tokens, where a file has it.

    Raises:
        StartRefused: The file cannot be read, or holds something else. It says which, never what.
    """
    if settings.page_key_file is None:
        return None
    try:
        key = base64.b64decode(read_private(settings.page_key_file).strip(), altchars=b"-_", validate=True)
    except OSError as exc:
        raise StartRefused(f"decision_api: {settings.page_key_file}: cannot be read: {exc.strerror}") from exc
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise StartRefused(f"decision_api: {settings.page_key_file}: not {KEY_BYTES} bytes in base64url")
    return key


def _text(path: Path) -> SourceText:
    try:
        return path.name, path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise StartRefused(f"decision_api: {path}: not UTF-8") from exc
    except OSError as exc:
        raise StartRefused(f"decision_api: {path}: cannot be read: {exc.strerror}") from exc
