"""What no agent's process may do: make a workload that agents are scored on.

`Scenario.workload` says what it is about to make, and a listener can't be taken away again. That makes a rule out of
what would else be easy to do without noticing; whoever copies the code of a generator does so without a word.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

from kvgym.envs.view import RULE, RuleBroken


@lru_cache(maxsize=1)
def refuse_workloads() -> None:
    """From now on workloads of the splits "test" and "all" raise a `RuleBroken` in this process."""
    sys.addaudithook(_heard)


def _heard(event: str, args: tuple[Any, ...]) -> None:
    if event == "kvgym.workload" and args[0] in ("test", "all"):
        raise RuleBroken(f"a workload of the split {args[0]} was asked for, which is the future: {RULE}")
