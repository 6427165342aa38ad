"""The container image without an engine of containers.

The RUN lines of `deploy/Containerfile` run for real, and what they make runs as an engine would run it: the user, a
read-only root, no capabilities, process 1.

The build's lines run in a mount namespace of their own, in which /opt and /usr/src are folders of ours and
/usr/local/bin/python is this machine's Python 3.11, so that they run letter for letter. What is not tried is the base
image itself. `python -m tests.servers.image` makes the layers that need packages (`.ci/programs` calls it).
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "Containerfile"
LAYERS = ROOT / ".lychgate" / "image"
PYTHON = Path("/usr/bin/python3.11")
UID = 10001
_CODE = "COPY . project"
"""From here on the code counts; what stands above is kept."""


class Step(NamedTuple):
    """An instruction: its word, and what follows it."""

    word: str
    rest: str


def stages() -> list[list[Step]]:
    """The container file's instructions by stage, what stands above the first one left out."""
    found: list[list[Step]] = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        if found and word and not word.startswith("#"):
            found[-1].append(Step(word, rest))
    return found


def runs(steps: Sequence[Step]) -> list[str]:
    """Their RUN lines."""
    return [step.rest for step in steps if step.word == "RUN"]


def halves() -> tuple[list[Step], list[Step]]:
    """The build stage: what only the lock counts for, and what the code counts for."""
    build = stages()[0]
    at = next(index for index, step in enumerate(build) if f"{step.word} {step.rest}" == _CODE)
    return build[:at], build[at + 1 :]


def context() -> list[str]:
    """What `.dockerignore` lets through to the builder."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    return [line[1:] for line in lines if line.startswith("!")]


def why_not() -> str | None:
    """What this machine lacks to try it; None if nothing."""
    if os.geteuid() != 0:
        return "mounting needs root"
    if not PYTHON.exists():
        return f"there is no {PYTHON} (Debian's python3.11)"
    for program in ("unshare", "setpriv", "mount"):
        if shutil.which(program) is None:
            return f"there is no `{program}`"
    tried = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "mount namespaces are not allowed here"


def fingerprint() -> str:
    """Of all that the kept layers are made of."""
    first, _ = halves()
    data = "\n".join(f"{step.word} {step.rest}" for step in first).encode()
    for step in first:
        if step.word == "COPY":
            data += b"".join((ROOT / name).read_bytes() for name in step.rest.split()[:-1])
    return hashlib.sha256(data).hexdigest()[:32]


def kept_layers() -> Path:
    """The folder of the layers that need packages; it is there once `.ci/programs` has run."""
    return LAYERS / fingerprint()


def make_layers() -> None:
    """Run the build's lines above the code, if they have not been run as they are."""
    place = kept_layers()
    if (place / "made").exists():
        return
    shutil.rmtree(LAYERS, ignore_errors=True)
    for name in ("opt", "src", "bin"):
        (place / name).mkdir(parents=True)
    (place / "bin" / "python").symlink_to(PYTHON)
    first, _ = halves()
    for step in first:
        if step.word == "COPY":
            *names, to = step.rest.split()
            assert to == "./"
            for name in names:
                shutil.copy2(ROOT / name, place / "src" / Path(name).name)
    _build(place, runs(first))
    (place / "made").touch()


def build(into: Path) -> Path:
    """The rest of the build, on a copy of the kept layers; returns what becomes /opt in the image."""
    for name in ("opt", "src", "bin"):
        shutil.copytree(kept_layers() / name, into / name, symlinks=True)
    project = into / "src" / "project"
    project.mkdir()
    for name in context():
        if name.startswith("deploy/"):
            continue
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy2(ROOT / name, project / name)
    _build(into, runs(halves()[1]))
    shutil.rmtree(into / "opt" / "backend")  # the second stage copies /opt/lychgate alone
    return into / "opt"


def _build(place: Path, lines: Sequence[str]) -> None:
    mounts = [f"mount --bind {place / name} {at}" for name, at in _BUILT_AT.items()]
    script = "\n".join(["set -eu", *mounts, "cd /usr/src", *(f"( {line} )" for line in lines)])
    environment = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HOME"))}
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "/bin/sh", "-c", script],
        env={**environment, "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"a line of {FILE.name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


_BUILT_AT = {"opt": "/opt", "src": "/usr/src", "bin": "/usr/local/bin"}


# A mount each: `mount -o remount` is not recursive everywhere.
_READ_ONLY = """
cut -d' ' -f5 /proc/self/mountinfo | sort -u | while read -r place; do
    case "$place" in
        /var/lib/lychgate|/proc*|/sys*|/dev*) ;;
        *) mount -o remount,bind,ro "$place" 2>/dev/null || : ;;
    esac
done
"""
_NO_RIGHTS = "--clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all"


class Image:
    """A made image, to run commands in.

    Args:
        opt: What stands at /opt.
        bin: What stands at /usr/local/bin.
        home: A folder of the test's, for the /etc it sees.
        etc: What is mounted at /etc/lychgate.
        state: What is mounted at /var/lib/lychgate, the only place that can be written.
    """

    def __init__(self, opt: Path, bin_: Path, home: Path, etc: Path, state: Path) -> None:
        self._opt, self._bin, self._etc, self._state = opt, bin_, etc, state
        self._copy = home / "etc"
        self._copy.mkdir()
        for name in ("passwd", "group", "shadow", "gshadow", "login.defs", "nsswitch.conf", "hosts", "ld.so.cache"):
            if Path("/etc", name).exists():
                shutil.copy2(Path("/etc", name), self._copy / name)
        (self._copy / "lychgate").mkdir()

    def environment(self) -> dict[str, str]:
        """What the last stage's ENV lines set."""
        words = [word for step in stages()[-1] if step.word == "ENV" for word in shlex.split(step.rest)]
        return dict(word.split("=", 1) for word in words)

    def command(self, *words: str, looking: bool = False) -> list[str]:
        """A command line that runs the entry point with these words as process 1 of a container like the engine's.

        With `looking`, the first word is a script for /bin/sh instead, so that a test can look around.
        """
        entry = ["/bin/sh", "-c"] if looking else _list(stages()[-1], "ENTRYPOINT")
        user = next(step.rest for step in stages()[-1] if step.word == "USER").partition(":")
        adds = next(line for line in runs(stages()[-1]) if "useradd" in line)
        hidden = ["/root", "/home", "/usr/src", "/mnt", "/srv", "/media"]
        script = [
            "set -eu",
            f"mount --bind {self._etc} {self._copy}/lychgate",
            f"mount --rbind {self._copy} /etc",
            adds,
            "mount -t tmpfs none /var/lib",
            "mkdir /var/lib/lychgate",
            f"mount --bind {self._state} /var/lib/lychgate",
            f"mount --bind {self._opt} /opt",
            f"mount --bind {self._bin} /usr/local/bin",
            *(f"[ ! -d {place} ] || mount -t tmpfs none {place}" for place in hidden),
            "mount -t tmpfs none /tmp",  # last: what is mounted from there stays
            _READ_ONLY,
            "cd /var/lib/lychgate",
            f"exec setpriv --reuid {user[0]} --regid {user[2]} {_NO_RIGHTS} -- {shlex.join([*entry, *words])}",
        ]
        isolated = ["-m", "--propagation", "private", "--pid", "--fork", "--mount-proc", "--kill-child"]
        return ["unshare", *isolated, "/bin/sh", "-c", "\n".join(script)]


def _list(steps: Sequence[Step], word: str) -> list[str]:
    text = next(step.rest for step in steps if step.word == word)
    return re.findall(r'"([^"]*)"', text)


if __name__ == "__main__":
    if missing := why_not():
        sys.stderr.write(f"setup: the image cannot be tried: {missing}; tests of it are skipped\n")
    else:
        make_layers()
