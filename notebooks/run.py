"""Runs the notebooks and saves them with their outputs.

python -m notebooks.run [NAME ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from tqdm import tqdm

FOLDER = Path(__file__).parent


def main(names: list[str]) -> None:
    """Runs the notebooks whose file names begin with one of `names`; all of them without names."""
    chosen = [path for path in sorted(FOLDER.glob("*.ipynb")) if not names or path.name.startswith(tuple(names))]
    for path in tqdm(chosen, unit="notebook"):
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(FOLDER.parent)}}).execute()
        temporary = path.with_suffix(".tmp")
        nbformat.write(notebook, temporary)
        temporary.replace(path)


if __name__ == "__main__":
    main(sys.argv[1:])
