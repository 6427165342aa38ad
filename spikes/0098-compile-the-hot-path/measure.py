"""What compiling the way of a request with mypyc would save: `load/path.py` on the tree and on a compiled copy.

Run from the repository's root, with a C compiler: `.venv/bin/python spikes/0098-compile-the-hot-path/measure.py`
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 5
MODULES = [
    *(f"audit/{name}.py" for name in ("commit", "ids", "usage", "spool/frame")),
    *(f"gateway/{name}.py" for name in ("clock", "tally", "wire/framing")),
    *(f"gateway/forward/{n}.py" for n in ("answers", "headers", "pool", "request", "upstream", "upstreams")),
    *(f"gateway/serve/{n}.py" for n in ("conclude", "connection", "exchange", "intake", "recall", "recorder")),
]
SETUP = """
from mypyc.build import mypycify
from setuptools import setup
arguments = ["--config-file", os.devnull, "--ignore-missing-imports"]
setup(name="compiled", ext_modules=mypycify([*MODULES, *arguments], opt_level="3"))
"""


def copied(folder: Path) -> Path:
    """A copy of the tree, fit for the compiler: `_thread` is a word of C's."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "pyproject.toml").unlink()  # the build would read it
    commit = folder / "audit" / "commit.py"
    commit.write_text(re.sub(r"\bself\._thread\b", "self._writing", commit.read_text()))
    return folder


def cost_us(tree: Path) -> float:
    """Processor time of a buffered read outside the sockets."""
    told = subprocess.run(
        [sys.executable, "load/path.py"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.search(r"reads: ([0-9.]+) us", told)
    return float(found[1]) if found else float("nan")


def main() -> None:
    """Compile, measure in turns, print."""
    with tempfile.TemporaryDirectory(prefix="lychgate-compiled-") as name:
        tree = copied(Path(name))
        (tree / "setup.py").write_text(f"import os\nMODULES = {MODULES!r}\n{SETUP}")
        built = subprocess.run(
            [sys.executable, "setup.py", "build_ext", "--inplace"],
            cwd=tree,
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:
            sys.exit(built.stdout[-2000:] + built.stderr[-2000:])
        rounds = [(cost_us(ROOT), cost_us(tree)) for _ in range(ROUNDS)]
    plain, compiled = (sorted(column)[ROUNDS // 2] for column in zip(*rounds, strict=True))
    print(f"interpreted {plain:.1f} us, compiled {compiled:.1f} us a request: {plain / compiled:.2f} times")


if __name__ == "__main__":
    main()
