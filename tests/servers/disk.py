"""A disk of three megabytes for a test: a tmpfs, because nothing else says "no space left" as a disk does."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SIZE = 3 << 20


class SmallDisk:
    """A mounted tmpfs.

    Attributes:
        path: Where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hog = path / "somebody-elses-file"

    def fill(self, leave: int = 0) -> None:
        """Take what is free, but for so many bytes, as another program on the disk would."""
        with self._hog.open("ab") as file:
            while (free := self._free()) > leave:
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), free - leave)
                except OSError as exc:
                    if exc.errno != errno.ENOSPC:  # whoever is tested was quicker, and has some of it
                        raise

    def _free(self) -> int:
        """Bytes that anybody may take."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def relieve(self) -> None:
        """Give back what `fill` took."""
        self._hog.unlink(missing_ok=True)

    def remount(self, options: str) -> None:
        """As an administrator, or a kernel that has seen an error, does: `ro`."""
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of 3 MB; only root may mount one."""
    path = tmp_path / "small-disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "lychgate-test", path],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        reason = f"a tmpfs cannot be mounted: {mounted.stderr.decode(errors='replace').strip()}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
