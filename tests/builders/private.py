"""Files that hold secrets, as an operator makes them."""

from pathlib import Path


def private(file: Path, text: str) -> Path:
    """A file for its owner alone, from its first byte on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(0o600)
    file.chmod(0o600)
    file.write_text(text, encoding="utf-8")
    return file
