"""Where an agent sits: one of the suite in its environment's process, one that came with a file in one of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from kvgym.evaluation.remote import DECISION_TIMEOUT_S, RemoteAgent, named

from .. import make_agent


def guests_in(value: Any) -> tuple[str, ...]:
    """Files of code that is not the suite's: those of path.py:Class anywhere in a JSON value, agents in agents too."""
    if isinstance(value, str):
        return (value.rpartition(":")[0],) if ".py:" in value else ()
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return tuple(sorted({path for item in items for path in guests_in(item)}))


@dataclass(frozen=True)
class Terms:
    """How agents are played; salt and timeout are for those that came with a file.

    Attributes:
        salt: See `kvgym.evaluation.remote.agent_seed`.
        timeout_s: Seconds that a decision, or a reset, may take.
        charges: See `kvgym.evaluation.play`; for all agents.
    """

    salt: str = ""
    timeout_s: float = DECISION_TIMEOUT_S
    charges: bool = False


DEFAULT_TERMS = Terms()


def apart_agent(name: str, kwargs: Mapping[str, Any], terms: Terms = DEFAULT_TERMS) -> RemoteAgent:
    """The agent that `agents.make_agent` makes of these, in a process of its own.

    Raises:
        AgentLost: If it can't be made.
    """
    return RemoteAgent(partial(make_agent, name, **kwargs), terms.salt, terms.timeout_s)


class Seated(Protocol):
    """Of `entries.Entry`, what is needed to make its agents."""

    @property
    def agent(self) -> str:
        """Name or path.py:Class."""

    @property
    def kwargs(self) -> dict[str, Any]:
        """Its arguments."""

    @property
    def router(self) -> str:
        """Who routes where it evicts alone."""

    @property
    def oracle(self) -> bool:
        """Whether they need the environment itself, and so its process."""


@contextmanager
def seated(
    entry: Seated, options: Mapping[str, Any], terms: Terms = DEFAULT_TERMS
) -> Iterator[tuple[Callable[[], Any], dict[str, Any]]]:
    """While the block runs: a function that gives the agent of the next episode, and the arguments of `record`.

    Args:
        entry: Whose agents.
        options: Of `record`, with a router of the suite or "agents:path.py:Class".
        terms: Of agents that came with a file.

    Raises:
        AgentLost: If an agent that came with a file can't be made.
    """
    given = dict(options)
    with ExitStack() as stack:
        if guests_in(entry.router) and not entry.oracle:
            router = stack.enter_context(apart_agent(entry.router, {}, terms))
            given["router"] = stack.enter_context(named(router))
        if guests_in([entry.agent, entry.kwargs]) and not entry.oracle:
            agent = stack.enter_context(apart_agent(entry.agent, entry.kwargs, terms))
            yield lambda: agent, given
        else:
            yield partial(make_agent, entry.agent, **entry.kwargs), given
