"""`python -m lychgate`: the same as `lychgate`."""

import sys

from lychgate.cli import main

sys.exit(main())
