"""Options that name agents."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any


def add_agents(parser: argparse.ArgumentParser, text: str) -> None:
    """Adds --agent, which `text` describes, and --agent-args: `options.agent` has pairs of a name and JSON."""
    parser.add_argument("--agent", nargs="+", action=_Agent, metavar="NAME|path.py:Class", help=text)
    what = "keyword arguments of the agent named just before"
    parser.add_argument("--agent-args", action=_AgentArgs, metavar="JSON", help=what)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _AgentArgs(argparse.Action):
    """Gives keyword arguments to the agent that was named last."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if not namespace.agent:
            parser.error("--agent-args belongs to the --agent before it: name one first")
        try:
            arguments = json.loads(values)
        except ValueError as error:
            parser.error(f"--agent-args is no JSON: {error}: {values}")
        if not isinstance(arguments, dict):
            parser.error(f"--agent-args must be a JSON object such as '{{\"prefix\": 1.0}}', got {values}")
        name, _ = namespace.agent[-1]
        namespace.agent[-1] = (name, json.dumps(arguments, sort_keys=True))


class _Agent(argparse.Action):
    """Collects agents, each with the arguments that may follow."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        namespace.agent = [*(namespace.agent or ()), *((name, "{}") for name in values)]
