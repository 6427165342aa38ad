"""`python -m lychgate.reference [FOLDER]`: write the pages, to `docs/reference` unless told; then the classes, too."""

import sys
from pathlib import Path

from lychgate.reference import PAGES
from lychgate.reference.event_types import class_modules

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference")
folder.mkdir(parents=True, exist_ok=True)
for name, page in PAGES.items():
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(page(), encoding="utf-8")
for name, text in class_modules().items() if len(sys.argv) == 1 else ():
    Path(name).write_text(text, encoding="utf-8")
