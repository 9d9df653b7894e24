"""Ctrl-C ends a command with one line, not with a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kvgym import _command
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
    [("agents.paper_table", "stderr"), ("kvgym.evaluation.validate", "stdout")],
)
def test_an_interrupt_while_it_works(command, begun):
    """Sent as soon as the command has written something: a bar, or its first table."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": interruptible}
    with subprocess.Popen([sys.executable, "-m", command], cwd=ROOT, env=environment, **pipes) as process:
        assert getattr(process, begun).read(1)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=300)
    assert process.returncode == _command.INTERRUPTED
    assert error.decode().splitlines()[-1] == "interrupted"
    assert b"Traceback" not in error
