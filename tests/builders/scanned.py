"""A service of one or more files, scanned: the shortest way from a few lines of code to a verdict."""

from pathlib import Path
from textwrap import dedent

from lychgate.coverage.configuration import Target, targets
from lychgate.coverage.model import Handler, Report
from lychgate.coverage.scan import scan
from lychgate.coverage.settings import CoverageSettings, ServiceCoverage

FASTAPI = """
from fastapi import FastAPI, HTTPException
from audit.producer import AuditProducer

app = FastAPI()
audit = AuditProducer(None, service="shop")
WHO = {"tenant_id": "t", "actor": None, "action": "a:b"}
"""
"""What the bodies of `handler` stand on."""


def write(folder: Path, **files: str) -> Path:
    """Files of a service, named without `.py`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        file = folder.joinpath(*name.split("__")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text), encoding="utf-8")
    return folder


def scanned(folder: Path, told: ServiceCoverage | None = None, **files: str) -> Report:
    """The report on a service of these files."""
    write(folder, **files)
    if told is not None:
        return scan([Target("shop", (folder,), told)], folder)
    return scan(targets([folder], [], CoverageSettings(), folder), folder)


def handler(folder: Path, body: str, told: ServiceCoverage | None = None) -> Handler:
    """The verdict on the last handler of a FastAPI service, whose code follows `FASTAPI`."""
    return scanned(folder, told, shop=FASTAPI + dedent(body)).handlers[-1]
