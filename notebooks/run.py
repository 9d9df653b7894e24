"""Runs the notebooks, two at a time, and saves them with their outputs.

python -m notebooks.run [NAME ...]    all of them, or those whose file names begin so
python -m notebooks.run --check       the same, and nothing is saved: do they run from top to bottom?
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

from kvgym import _atomic

FOLDER = Path(__file__).parent
AT_ONCE = 2
COLOURS = 64
"""Of a picture: curves and bars need no more, and take a third of the room."""


def run(path: Path, *, save: bool) -> float:
    """Runs a notebook in a kernel of its own; returns the seconds that it took.

    Saved are its outputs without standard error, where lines of progress come as fast as the machine is.

    Raises:
        CellExecutionError: If a cell fails; nothing is saved then.
    """
    began = time.perf_counter()
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(FOLDER.parent)}}
    # No times in the file, and what is printed as one piece: the same outputs are the same file.
    client = NotebookClient(
        notebook,
        timeout=600,
        resources=resources,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
    )
    client.execute()
    if save:
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = [_shrunk(output) for output in cell.outputs if output.get("name") != "stderr"]
        _atomic.write(path, nbformat.writes(notebook) + "\n")
    return time.perf_counter() - began


def _shrunk(output: Any) -> Any:
    """An output with its picture in few colours, and in one form."""
    if "image/png" in output.get("data", {}):
        output.data.pop("image/jpeg", None)
        smaller = io.BytesIO()
        picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
        picture.convert("RGB").quantize(COLOURS).save(smaller, "png", optimize=True)
        output.data["image/png"] = base64.b64encode(smaller.getvalue()).decode()
    return output


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="notebooks.run", description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="*", help="how the file names begin, such as 01 (all)")
    parser.add_argument("--check", action="store_true", help="save nothing")
    options = parser.parse_args(argv)
    paths = [path for path in sorted(FOLDER.glob("*.ipynb")) if path.name.startswith(tuple(options.name or ("",)))]
    if not paths:
        parser.error(f"name must be the beginning of a file in {FOLDER.name}/, got {' '.join(options.name)}")
    # A core for each kernel: libraries that would start a thread per core get in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    failed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(run, path, save=not options.check): path for path in paths}
        for number, done in enumerate(as_completed(running), 1):
            try:
                outcome = f"{done.result():.1f} s"
            except CellExecutionError as error:
                failed += 1
                outcome = f"FAILED\n{error}"
            print(f"{number} of {len(paths)}: {running[done].stem} {outcome}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
