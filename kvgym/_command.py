"""How commands begin, what files their options name, and how those that write no files end."""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def run(main: Callable[[], int | None]) -> NoReturn:
    """Runs a command and exits with the status that it returns, None being 0; after Ctrl-C with one line and 130.

    Where nobody reads its output any more (`| head`) it ends without a word.
    """
    try:
        status = main()
        sys.stdout.flush()
        sys.exit(status)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        sys.exit(1)
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


def toml(option: str, path: Path) -> dict[str, Any]:
    """What the TOML file that an option names holds.

    Raises:
        ValueError: If it is not TOML.
        OSError: If it can't be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{option}: {path} is not TOML: {error}") from error
