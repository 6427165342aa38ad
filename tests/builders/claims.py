"""What the coverage scanner claims of the sample services; scanned once a process."""

from functools import cache
from pathlib import Path

from lychgate.coverage.configuration import targets
from lychgate.coverage.model import Report
from lychgate.coverage.scan import scan
from lychgate.coverage.settings import CoverageSettings

ROOT = Path(__file__).parents[2]


@cache
def claims() -> Report:
    """The report on `services/`."""
    return scan(targets([ROOT / "services"], [], CoverageSettings(), ROOT), ROOT)
