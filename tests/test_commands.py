"""Ctrl-C ends a command with one line, not with a traceback."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agents import AGENTS, EVICTION_AGENTS
from kvgym import _cli, _command
from kvgym.scenarios import SUITE_SCENARIOS
from kvgym.sim import EVICTORS
from tests.interrupts import interruptible

ROOT = Path(__file__).parents[1]


def test_statuses(capsys):
    def interrupted():
        raise KeyboardInterrupt

    for main, status in ((lambda: None, None), (lambda: 0, 0), (lambda: 2, 2), (interrupted, _command.INTERRUPTED)):
        with pytest.raises(SystemExit) as ended:
            _command.run(main)
        assert ended.value.code == status
    assert capsys.readouterr().err == "\ninterrupted\n"


@pytest.mark.parametrize(
    ("command", "begun"),
    [("studies.reproduce --quick --workers 1 --out {}", "stderr"), ("kvgym.evaluation.validate", "stdout")],
)
def test_an_interrupt_while_it_works(command, begun, tmp_path):
    """Sent as soon as the command has written something: what it is about to do, or its first table."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": interruptible}
    words = command.format(tmp_path).split()
    with subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, env=environment, **pipes) as process:
        assert getattr(process, begun).read(1)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=300)
    assert process.returncode == _command.INTERRUPTED
    assert error.decode().splitlines()[-1] == "interrupted"
    assert b"Traceback" not in error


def kvgym(*words):
    code = f"import sys; sys.argv = ['/bin/kvgym', *{words!r}]; from kvgym._cli import run; run()"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_lists_have_a_line_for_each_thing():
    done = kvgym("list")
    assert done.returncode == 0 and done.stderr == ""
    found = re.findall(r"^  (\S+)", done.stdout, re.MULTILINE)
    assert {*SUITE_SCENARIOS, *AGENTS, *EVICTION_AGENTS, *EVICTORS, "h100", "llama-3.1-8b"} <= set(found)
    (line,) = re.findall(r"^  cache_aware_03 .*$", done.stdout, re.MULTILINE)
    assert "threshold=0.3" in line
    assert kvgym("list", "gpus").stdout.startswith("gpus:\n  ")
    wrong = kvgym("list", "gpu")
    assert wrong.returncode == 2 and "KIND must be one of scenarios, " in wrong.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", _cli.COMMANDS)
def test_a_part_of_the_command_is_called_by_its_name(name):
    done = kvgym(name, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"usage: kvgym {name} ")
    wrong = kvgym(name, "--no-such-option")
    assert wrong.returncode == 2 and f"kvgym {name}: error: " in wrong.stderr


def test_the_command_loads_what_it_needs():
    code = "import sys; sys.argv = ['kvgym', '-h']; from kvgym import _cli\ntry: _cli.run()\nexcept SystemExit: pass\n"
    code += "print(*[name for name in ('numpy', 'numba', 'agents', 'torch') if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stderr.split() in ([], ["numpy"])  # gymnasium imports numpy


def test_a_reader_that_goes_away_is_no_error():
    code = "from kvgym import _command\ndef main():\n for _ in range(100000): print('x' * 100)\n_command.run(main)"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def completed(script, *words):
    """What bash offers for the last of the words."""
    ask = f"COMP_WORDS=(kvgym {' '.join(words)}); COMP_CWORD={len(words)}; _shtab_kvgym; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", script + "\n" + ask], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_shell_completes_commands_options_and_names():
    script = _cli.completion("bash")
    assert completed(script, "l") == ["list", "leaderboard", "links"]
    assert completed(script, "leaderboard", "--scenario", "gs") == ["gsp", "gsp-stable", "gsp-worst"]
    assert completed(script, "leaderboard", "--sc") == ["--scenario"]
    assert completed(script, "links", "--gpu", "h") == ["h100", "h200", "h20", "h100-pcie"]
    assert completed(script, "list", "g") == ["gpus"]
    for shell in _cli.SHELLS:
        assert _cli.completion(shell)


@pytest.mark.slow
def test_compile_leaves_nothing_to_compile():
    done = kvgym("compile")
    assert done.returncode == 0
    folder = Path(done.stdout.removeprefix("compiled kernels are in ").strip())
    names = {path.stem for path in folder.glob("*.done")}
    assert {"kvgym.envs.kernels.entry", "kvgym.sim.entry", "kvgym.workload.random_kernels"} <= names
    assert kvgym("compile").stderr == ""
