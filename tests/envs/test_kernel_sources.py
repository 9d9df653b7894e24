"""Compiled kernels are never older than the code that they come from, and are complete when a thread gets them."""

import ast
import subprocess
import sys
from pathlib import Path

from kvgym._compile import kernel_sources

ROOT = Path(__file__).parents[2]


def imported_files(path):
    """Files of kvgym from which a file takes names when it is imported."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kvgym"):
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                file = ROOT / (name.replace(".", "/") + ".py")
                if file.exists():
                    yield file


def test_whatever_a_kernel_takes_names_from_counts():
    """A constant of another module, or of one that this one imports, is compiled in: it belongs to the cache's name."""
    sources = set(kernel_sources())
    assert len(sources) > 20
    found, left = set(), [path for path in sources if path.parent.name == "kernels"]
    while left:
        new = set(imported_files(left.pop())) - found
        found |= new
        left += new
    assert ROOT / "kvgym" / "sim" / "moving_tables.py" in found
    checks = {ROOT / "kvgym" / "_check.py"}  # functions alone, which no kernel calls
    assert found - sources == checks


def test_nothing_is_compiled_by_an_import():
    """Kernels that are imported as other modules are would come from a cache that does not know of their parts."""
    code = (
        "import sys, kvgym.envs.evict, kvgym.envs.joint, kvgym.envs.route;"
        "assert 'numba' not in sys.modules, [name for name in sys.modules if 'kernels' in name]"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_threads_that_start_together():
    """Four threads make their first environment of the process at once."""
    code = """
import threading
from tests.envs.helpers import digest, make, play
results = [None] * 4
gate = threading.Barrier(4)
def work(i):
    gate.wait()
    results[i] = digest(play(make(), seed=0))
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert results[0] is not None and len(set(results)) == 1, results
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stderr
