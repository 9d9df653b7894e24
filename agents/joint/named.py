"""Agents inside agents: given as they are, or by name."""

from __future__ import annotations

from typing import Any

from kvgym.evaluation.stage import environment_of

Part = Any
"""An agent, or a name that `agents.make_agent` knows."""


def as_agent(argument: str, part: Part, environment: str) -> Any:
    """The agent that `part` is, or names.

    Args:
        argument: What to call it in messages.
        part: An agent, or a name.
        environment: Id of the environment that it has to play.

    Raises:
        ValueError: If there is no such agent, or it plays another environment.
    """
    from .. import make_agent  # not above: the names include those of agents that have agents inside

    agent = make_agent(part) if isinstance(part, str) else part
    if environment_of(agent) != environment:
        what = part if isinstance(part, str) else type(part).__name__
        raise ValueError(f"{argument} must be an agent of {environment}, {what} plays {environment_of(agent)}")
    return agent
