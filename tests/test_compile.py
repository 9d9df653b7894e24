"""Machine code is compiled once for all installations, by one process at a time, with progress."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from numba import njit

from kvgym import _compile, _progress
from kvgym._kernel import kernel
from kvgym._progress import progress
from tests.interrupts import interruptible

ROOT = Path(__file__).parents[1]

# An installation of three compiled functions in a folder of its own; its import waits for a file, where one is named.
TINY = """
import os, time
import numpy as np
from pathlib import Path
from kvgym._kernel import entry_point, kernel

while not Path(os.environ["GATE"]).exists():
    time.sleep(0.02)

@kernel
def double(x):
    return 2 * x

@kernel(allocates=True)
def doubles(n):
    out = np.zeros(n, np.int64)
    for i in range(n):
        out[i] = double(i)
    return out

@entry_point("int64(int64)")
def answer(x):
    return double(x) + doubles(2)[1] - 2
"""

LOAD = """
import os, sys
from pathlib import Path
from kvgym import _compile
sys.path.insert(0, sys.argv[1])
sys.executable = os.environ.get("EXECUTABLE", sys.executable)
_compile._PACKAGE = Path(sys.argv[1])
print(_compile.load("tiny").answer(21))
"""


@pytest.fixture
def start(tmp_path):
    """Starts a process that loads `installation`, and what it wants to wait for; the folder of the cache is shared."""
    running = []

    def start(installation="a", gate=None, source=TINY, **environment):
        folder = tmp_path / installation
        folder.mkdir(exist_ok=True)
        (folder / "tiny.py").write_text(source, encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-c", LOAD, str(folder)],
            cwd=ROOT,
            env={**os.environ, "KVGYM_CACHE_DIR": str(tmp_path / "cache"), "GATE": str(gate or ROOT), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=interruptible,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def finish(process):
    """Output and errors of a process that has to succeed."""
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return out, errors


def marks(tmp_path):
    return list(tmp_path.glob("cache/kvgym/*/*.done"))


@pytest.mark.slow
def test_the_first_says_what_it_does_and_a_second_installation_compiles_nothing(start, tmp_path):
    out, errors = finish(start("a"))
    assert out == "42\n"
    lines = errors.splitlines()
    assert lines[0] == "kvgym: compiling tiny: 0 s, 0 of 3 kernels"
    assert lines[-1].startswith("kvgym: compiled tiny in ")
    files = sorted(tmp_path.rglob("cache/**/*.nbc"))
    assert len(files) == 1
    assert finish(start("b")) == ("42\n", "")
    assert sorted(tmp_path.rglob("cache/**/*.nbc")) == files


@pytest.mark.slow
def test_other_sources_are_compiled_anew(start, tmp_path):
    finish(start("a"))
    out, errors = finish(start("b", source=TINY.replace("return 2 * x", "return 3 * x")))
    assert out == "64\n"
    assert "compiled tiny" in errors
    assert len(marks(tmp_path)) == 2


@pytest.mark.slow
def test_a_second_process_waits_and_loads_what_the_first_compiled(start, tmp_path):
    gate = tmp_path / "gate"
    first = start("a", gate)
    assert first.stderr.readline().startswith("kvgym: compiling tiny: 0 s")
    second = start("b", gate)
    assert second.stderr.readline() == "kvgym: waiting while another process compiles: 0 s\n"
    assert second.stderr.readline() == "kvgym: waiting while another process compiles: 3 s\n"
    gate.touch()
    assert finish(first)[0] == "42\n"
    out, errors = finish(second)
    assert out == "42\n"
    assert all(line.startswith("kvgym: waiting") for line in errors.splitlines())


@pytest.mark.slow
def test_a_lock_goes_with_a_process_that_is_killed(start, tmp_path):
    gate = tmp_path / "gate"
    first = start("a", gate)
    first.stderr.readline()
    second = start("b", gate)
    assert "waiting" in second.stderr.readline()
    first.kill()
    gate.touch()
    out, errors = finish(second)
    assert out == "42\n"
    assert "compiled tiny" in errors


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for another process")
def test_an_interrupt_leaves_no_mark_and_the_next_compiles(start, tmp_path):
    gate = tmp_path / "gate"
    first = start("a", gate)
    first.stderr.readline()
    second = start("b", gate)
    second.stderr.readline()
    for process in (second, first):  # one waits for the lock, one compiles
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "KeyboardInterrupt" in errors
    assert not marks(tmp_path)
    gate.touch()
    out, errors = finish(start("a", gate))
    assert out == "42\n"
    assert "waiting" not in errors
    assert len(marks(tmp_path)) == 1


@pytest.mark.slow
def test_a_failure_leaves_no_mark(start, tmp_path):
    broken = start("a", source=TINY.replace("return 2 * x", "return 2 * y"))
    assert "'y'" in broken.communicate(timeout=120)[1]
    assert broken.returncode != 0
    assert not marks(tmp_path)
    (lock,) = (tmp_path / "cache" / "kvgym").glob("*.lock")
    with FileLock(lock, timeout=0):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("executable", ["", "/nowhere/python"])
def test_without_a_process_of_its_own(start, tmp_path, executable):
    out, errors = finish(start("a", EXECUTABLE=executable))
    assert out == "42\n"
    assert "compiled tiny" in errors
    assert finish(start("b")) == ("42\n", "")


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("file", [io.StringIO(), Screen()], ids=["file", "terminal"])
def test_lines_come_until_it_is_over(file, monkeypatch):
    monkeypatch.setattr(_progress, "LINE_S", 0.01)
    monkeypatch.setattr(_progress, "_REWRITE_S", 0.01)
    monkeypatch.setattr(sys, "stderr", file)
    count = iter(range(10**6))
    with progress(lambda seconds: f"{next(count)} after {seconds:.0f} s"):
        while next(count) < 5:
            time.sleep(0.02)
    text = file.getvalue()
    assert text.startswith("0 after 0 s")
    assert text.endswith("\n")
    lines = text.replace("\r", "\n").splitlines()
    assert len([line for line in lines if line]) >= 2
    assert text.count("\n") == (1 if file.isatty() else len(lines))
    time.sleep(0.05)
    assert file.getvalue() == text


def test_nobody_to_tell(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with progress(lambda seconds: ""):
        pass
    closed = io.StringIO()
    closed.close()
    closed.isatty = lambda: False
    monkeypatch.setattr(sys, "stderr", closed)
    with progress(lambda seconds: ""):
        pass


@kernel
def add(x, y):
    return x + y


@kernel
def sum_to(n):
    return 0 if n == 0 else add(n, sum_to(n - 1))


@kernel(allocates=True)
def squares(n):
    return np.arange(n) ** 2


def test_kernels_in_a_plain_njit():
    @njit
    def all_of_them(n):
        return add(n, 1), add(n, 0.5), sum_to(n), squares(n)

    whole, real, total, array = all_of_them(4)
    assert (whole, real, total) == (5, 4.5, 10)
    assert array.tolist() == [0, 1, 4, 9]


def test_python_calls_no_kernel():
    with pytest.raises(TypeError, match="kernel_called_from_python"):
        add(1, 2)

    @kernel
    def nothing():
        return 0

    with pytest.raises(TypeError, match="called by compiled functions only"):
        nothing()


def test_agents_in_an_installed_package_are_no_kernel_sources(tmp_path, monkeypatch):
    """Else the wheel would compile anew what the checkout has compiled."""
    package = tmp_path / "kvgym"
    (package / "agents").mkdir(parents=True)
    (package / "kernels.py").write_text("from numba import njit\n")
    (package / "agents" / "kernel.py").write_text("from kvgym._kernel import kernel\n")
    monkeypatch.setattr(_compile, "_PACKAGE", package)
    assert _compile.kernel_sources() == [package / "kernels.py"]
