"""How commands that write no files end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def run(main: Callable[[], int | None]) -> NoReturn:
    """Runs a command and exits with the status that it returns, None being 0; after Ctrl-C with one line and 130."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
