"""For tests that interrupt processes."""

import signal


def interruptible() -> None:
    """As `preexec_fn` of a process: it sees SIGINT, which those of a shell's background ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
