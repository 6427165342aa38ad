"""What a round hurts of the machine: the spool's disk, the clock; and ports nobody takes while their owner is dead."""

import ctypes
import os
import random
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.process import NotStarted

DISK_BYTES = 256 << 20
_LOW, _HIGH = 20_000, 32_000
_GIVEN: set[int] = set()
_SOURCE = Path(__file__).with_name("clock.c")
_MS_DETACH = 2


def low_port() -> int:
    """A free port below those the system gives to clients: nobody takes it while its owner is dead."""
    while True:
        port = random.SystemRandom().randint(_LOW, _HIGH)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            if port not in _GIVEN:
                _GIVEN.add(port)
                return port


@dataclass
class Disk:
    """The spool's own small file system, where we may make one.

    Attributes:
        folder: Where it is.
        mounted: Whether it is one of its own and can be filled.
    """

    folder: Path
    mounted: bool = False

    def make(self) -> None:
        """Mount it; without the right to, the folder must do."""
        self.folder.mkdir(mode=0o711, parents=True)
        self.mounted = _libc("mount", b"none", os.fsencode(self.folder), b"tmpfs", 0, f"size={DISK_BYTES}".encode())

    def fill(self) -> None:
        """Leave not a byte."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            here, left = os.fstat(filler.fileno()).st_size, os.statvfs(self.folder)
            with suppress(OSError):
                os.posix_fallocate(filler.fileno(), here, max(1, left.f_bavail * left.f_bsize))
            with suppress(OSError):
                while True:  # what others have freed meanwhile
                    filler.write(bytes(4096))

    def free(self) -> None:
        """Give it back."""
        (self.folder / "filler").unlink(missing_ok=True)

    def give_up(self) -> None:
        """Unmount it."""
        if self.mounted:
            self.mounted = not _libc("umount2", os.fsencode(self.folder), _MS_DETACH)


def _libc(name: str, *arguments: object) -> bool:
    return bool(getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) == 0)


class Clock:
    """The gateway's and its services' clock: the system's, moved by what a mapped file says.

    Args:
        folder: For the file, and for the library that reads it.

    Raises:
        NotStarted: The library cannot be built.
    """

    def __init__(self, folder: Path) -> None:
        self._library, self._file = folder / "clock.so", folder / "clock"
        command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(self._library), str(_SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NotStarted(f"{_SOURCE}: {done.stderr.strip()}")
        self._file.write_bytes(bytes(8))

    def move(self, seconds: int) -> None:
        """Be ahead of the system by that much, or behind."""
        with self._file.open("r+b") as file:  # eight bytes at once: whoever looks meanwhile sees the old or the new
            os.pwrite(file.fileno(), seconds.to_bytes(8, sys.byteorder, signed=True), 0)

    def variables(self) -> dict[str, str]:
        """What a process is given that is to live by it."""
        return {"LD_PRELOAD": str(self._library), "MOVED_CLOCK": str(self._file)}
