"""How commands begin, and how those that write no files end."""

from __future__ import annotations

import argparse
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


def parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """A parser that calls itself `kvgym NAME` where that was typed, else `python -m module`.

    Args:
        module: The command's.
        description: Shown as it is.
    """
    name = sys.argv[0] if sys.argv[0].startswith("kvgym ") else f"python -m {module}"
    return argparse.ArgumentParser(name, None, description, formatter_class=argparse.RawDescriptionHelpFormatter)
