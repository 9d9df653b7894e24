"""Measurements that need a process of their own: its peak memory is theirs alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def memory_mb(what: str) -> float:
    """Resident memory of this process in MB: "VmRSS" now, "VmHWM" at its peak (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no line {what}")


def in_process(module: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Runs `python -m module --cell JSON` and returns the dictionary that it prints last.

    Raises:
        RuntimeError: If the process fails; the message holds the end of what it wrote.
    """
    command = [sys.executable, "-m", module, "--cell", json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} {arguments} failed: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
