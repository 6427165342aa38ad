"""Secrets on disk, and which words of PostgreSQL blame the folder."""

from pathlib import Path

import pytest

from lychgate.postgres.cluster import is_damage, kept_secret, secret_in


def test_a_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    """Long, 0600, the same at the next look; no half-written file stays."""
    file = tmp_path / "owner.password"
    made = kept_secret(file)
    assert len(made) >= 32
    assert kept_secret(file) == secret_in(file) == made
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["owner.password"]


def test_an_empty_or_foreign_file_holds_no_secret(tmp_path: Path) -> None:
    """Nothing to log in with: a new one has to be made."""
    file = tmp_path / "owner.password"
    assert secret_in(file) is None
    file.write_text("\n")
    assert secret_in(file) is None
    file.write_bytes(b"\xff")
    assert secret_in(file) is None


@pytest.mark.parametrize(
    ("log", "damage"),
    [
        ("PANIC:  could not locate a valid checkpoint record at 0/17C1000", True),
        ("FATAL:  database files are incompatible with server", True),
        ('FATAL:  could not open directory "pg_notify": No such file or directory', True),
        ('FATAL:  could not write lock file "postmaster.pid": No space left on device', False),
        ('LOG:  could not bind IPv4 address "127.0.0.1": Address already in use', False),
        ("FATAL:  could not map anonymous shared memory: Cannot allocate memory", False),
    ],
)
def test_only_the_folder_is_blamed_for_the_folder(log: str, damage: bool) -> None:
    """A full disk, a taken port and missing memory are not cured by a new folder."""
    assert is_damage(log) is damage
