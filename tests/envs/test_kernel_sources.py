"""Compiled kernels are never older than the code that they come from, and are complete when a thread gets them."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kvgym import _compile
from kvgym._compile import kernel_sources

ROOT = Path(__file__).parents[2]
PYTHON_ONLY = {"points.py", "inspection.py"}  # tables that no kernel sees


def imported_files(path):
    """Files of kvgym from which a file takes names when it is imported."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kvgym"):
            for alias in node.names:
                inner, outer = (ROOT / name.replace(".", "/") for name in (f"{node.module}.{alias.name}", node.module))
                places = (inner.with_suffix(".py"), inner / "__init__.py", outer.with_suffix(".py"))
                yield next((file for file in places if file.exists()), outer / "__init__.py")


def decorated(path):
    """Whether a file has a kernel."""
    functions = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if hasattr(node, "returns"))
    names = {ast.unparse(one).split("(")[0] for function in functions for one in function.decorator_list}
    return bool(names & {"njit", "kernel", "entry_point"})


def test_whatever_a_kernel_takes_names_from_counts():
    """A constant of another module, or of one that this one imports, is compiled in: it belongs to the cache's name."""
    left = [path for path in ROOT.glob("kvgym/**/*.py") if decorated(path)]
    assert len(left) > 20
    found = set()
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            left += imported_files(path)
    loader = {ROOT / "kvgym" / f"_{name}.py" for name in ("compile", "import", "kernel", "progress")}
    assert set(kernel_sources()) == found | loader


def cache_folder():
    return _compile._cache_folder.__wrapped__()


def test_another_order_of_fields_is_another_folder(tmp_path, monkeypatch):
    """In a copy of the package, two fields of each module with tables are swapped, one module after the other."""
    package = tmp_path / "kvgym"
    shutil.copytree(ROOT / "kvgym", package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("KVGYM_CACHE_DIR", str(tmp_path / "cache"))
    before = cache_folder()
    monkeypatch.setattr(_compile, "_PACKAGE", package)
    assert cache_folder() == before
    tuples = re.compile(r"(np\.dtype\(\s*\[\s*)(\([^()]*\))(,[^()]*)(\([^()]*\))")
    words = re.compile(r'(row_type\(\s*"i\d )(\w+)( )(\w+)')
    changed = 0
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        fields = words if words.search(text) else tuples
        if path.name in PYTHON_ONLY or not fields.search(text):
            continue
        path.write_text(fields.sub(r"\1\4\3\2", text, count=1), encoding="utf-8")
        assert cache_folder() != before, path
        path.write_text(text, encoding="utf-8")
        changed += 1
    assert changed >= 4
    assert cache_folder() == before
    with (package / "evaluation" / "scoring.py").open("a", encoding="utf-8") as file:
        file.write("# nothing that is compiled\n")
    assert cache_folder() == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from kvgym.a import b", "kvgym.a.b"),
        ("from kvgym.a import Name", "kvgym.a"),
        ("from kvgym.a import (\n    Name,  # why\n    b as c,\n)", "kvgym.a kvgym.a.b"),
        ("def f():\n    import kvgym.a.b, os", "kvgym.a.b os"),
        ("from . import b", "kvgym.a.b"),
        ("from .b import Name", "kvgym.a.b"),
        ("from ..x import Name", "kvgym.x"),
        ("from .. import x", "kvgym.x"),
        ('"""Words from here import nothing."""', ""),
    ],
)
def test_modules_that_a_text_imports(text, expected):
    files = ("kvgym.a", "kvgym.a.b", "kvgym.x")
    assert list(_compile._imported(text, "kvgym.a", files)) == expected.split()


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
