"""`python -m lychgate.reference [FOLDER]`: write the pages; `docs/reference` when no folder is named."""

import sys
from pathlib import Path

from lychgate.reference import PAGES

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference")
folder.mkdir(parents=True, exist_ok=True)
for name, page in PAGES.items():
    (folder / name).write_text(page(), encoding="utf-8")
