"""``python -m iouaware`` is the command line; the guard lets worker processes import it."""

from __future__ import annotations

import sys

from iouaware.cli import main

if __name__ == "__main__":
    sys.exit(main())
