"""Measurements that need a process of their own: its peak memory is theirs alone."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def memory_mb(what: str) -> float:
    """Resident memory of this process in MB: "VmRSS" now, "VmHWM" at its peak (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no line {what}")


def in_process(module: str, function: str, cell: dict[str, Any]) -> dict[str, Any]:
    """What a function of a module returns for a cell, called in a process of its own.

    Raises:
        RuntimeError: If the process fails; the message holds the end of what it wrote.
    """
    command = [sys.executable, "-m", "benchmarks.cells", module, function, json.dumps(cell)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module}.{function} of {cell} failed: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    print(json.dumps(getattr(import_module(sys.argv[1]), sys.argv[2])(json.loads(sys.argv[3]))))
