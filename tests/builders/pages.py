"""A page of the documentation as what it is made of: blocks that can be put into files, applied, and run.

A fence's first word is the language, for readers and for whoever colours it; after it stands what is done with the
block. `file=PATH` writes it, `append=PATH` adds it to the end, a `diff` is applied, a `console` is run: each line that
begins with `$ ` is a command, what follows it is what it prints. A line `...` there stands for any lines, `…` inside
one for any text. `text` blocks are only read. `exit=N` is how the last command of a `console` ends.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

_FENCE = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its language, what is done with it, its text, and its first line on the page."""

    language: str
    options: dict[str, str]
    text: str
    line: int


class Step(NamedTuple):
    """A command and what it prints."""

    command: str
    output: list[str]


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        language, *words = fence["info"].split()
        options = dict(word.split("=", 1) for word in words)
        found.append(Block(language, options, fence["text"], text.count("\n", 0, fence.start()) + 2))
    return found


def steps(block: Block) -> list[Step]:
    """The commands of a `console` block."""
    found: list[Step] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:], []))
        elif line.startswith("> "):
            found[-1] = Step(f"{found[-1].command}\n{line[2:]}", [])
        else:
            found[-1].output.append(line)
    return found


def as_printed(expected: list[str], printed: str) -> bool:
    """Whether a command printed what the page says."""
    pattern = ""
    for line in expected:
        pattern += r"(?:[^\n]*\n)*?" if line == "..." else re.escape(line.rstrip()).replace("…", ".*?") + r"[ ]*\n"
    return re.fullmatch(pattern, printed if printed.endswith("\n") or not printed else f"{printed}\n") is not None


def run(block: Block, folder: Path, environment: dict[str, str]) -> None:
    """Do what a block says, in a folder; fails with the page's line and what came instead."""
    if "file" in block.options or "append" in block.options:
        _write(block, folder)
    elif block.language == "diff":
        done = _shell("patch -p1 --no-backup-if-mismatch --fuzz=0", folder, environment, block.text)
        assert done.returncode == 0, f"line {block.line}: {done.stdout}"
    elif block.language == "console":
        found = steps(block)
        for number, step in enumerate(found, 1):
            done = _shell(step.command, folder, environment)
            wanted = int(block.options.get("exit", "0")) if number == len(found) else 0
            where = f"line {block.line}: $ {step.command}\n{done.stdout}"
            assert done.returncode == wanted, f"{where}exit {done.returncode}, not {wanted}"
            assert as_printed(step.output, done.stdout), f"{where}is not what the page says"
    else:
        assert block.language == "text", f"line {block.line}: nobody runs a `{block.language}` block"


def _write(block: Block, folder: Path) -> None:
    mode = "w" if "file" in block.options else "a"
    file = folder / block.options.get("file", block.options.get("append", ""))
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open(mode, encoding="utf-8") as written:
        written.write(block.text if mode == "w" else f"\n{block.text}")


def _shell(
    command: str, folder: Path, environment: dict[str, str], standard_input: str = ""
) -> subprocess.CompletedProcess[str]:
    """A command as a reader types it, with `lychgate` on the path and eighty columns."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**environment, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1", "HOME": str(folder), "LANG": "C.UTF-8"},
        input=standard_input,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
