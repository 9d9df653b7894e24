"""Agents that take a part of the decisions of an environment, and see what they would see in one of their own."""

from __future__ import annotations

import io
import pickle
from copy import deepcopy
from typing import Any, Self

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from kvgym import _homes
from kvgym.envs.base import Observation, legal_instead
from kvgym.envs.kernels.codes import LOOK
from kvgym.envs.layout import Layout
from kvgym.envs.view import View, shown
from kvgym.sim.evictors import ASK

ROUTE_ID = "KVGym/Route-v0"


class Adapter:
    """Stands between an agent and an environment, or another agent, of whose decisions it takes a part.

    Attributes:
        view: What the agent takes for its environment: a view of this adapter, or the adapter itself for an oracle.

    Args:
        env: The environment, or the view that an agent has of it.
        agent: The agent.
        layout: That of the observations which the agent is shown.
        n_actions: How many actions it has.
    """

    def __init__(self, env: Any, agent: Any, layout: Layout, n_actions: int) -> None:
        """Makes the adapter and the view."""
        self.env = env
        self.agent = agent
        self.scenario = env.scenario
        self.layout = layout
        self.action_space = spaces.Discrete(n_actions)
        self.observation_space = layout.space(agent.observation)
        self._time: float | None = None
        self._reported = 0
        self.view = shown(self, agent)

    @property
    def unwrapped(self) -> Self:
        """Itself."""
        return self

    def reset(self, seed: int) -> None:
        """Starts an episode."""
        self._time = None
        self._reported = 0
        self.agent.reset(self.view, seed)

    def ask(self, observation: Observation, mask: NDArray[np.int8], time: float, session: int) -> Any:
        """The agent's answer to a decision that is due at `time`."""
        dt = 0.0 if self._time is None else time - self._time  # 0 at the first decision, as after reset()
        answer = self.agent.act(observation, {"action_mask": mask, "dt": dt, "time": time, "session": session})
        self._time = time
        self._reported = self.env.n_finished()
        return answer

    def finished(self, first: int | None = None) -> NDArray[np.float64]:
        """Requests that finished since the agent's own last decision, see `ClusterEnv.finished`."""
        rows: NDArray[np.float64] = self.env.finished(self._reported if first is None else first)
        return rows

    def n_finished(self) -> int:
        """See `ClusterEnv.n_finished`."""
        return int(self.env.n_finished())

    def prompt_pages(self) -> NDArray[np.int64]:
        """See `ClusterEnv.prompt_pages`."""
        pages: NDArray[np.int64] = self.env.prompt_pages()
        return pages

    def action_masks(self) -> NDArray[np.bool_]:
        """Actions that may be chosen: bool (n,)."""
        raise NotImplementedError

    # Whoever copies or pickles the environment copies the agent with it, whose view can't be: it gets that of the copy.

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """An adapter to the copied environment, with a copy of the agent."""
        twin = memo[id(self)] = object.__new__(type(self))
        twin.__dict__.update(deepcopy(self._without_agent(), memo))
        memo[id(self.view)] = view = twin if self.view is self else View(twin)
        twin.agent, twin.view = deepcopy(self.agent, memo), view
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """The agent as bytes of its own, in which its view is not."""
        buffer = io.BytesIO()
        pickler = pickle.Pickler(buffer)
        pickler.persistent_id = lambda value: "view" if value is self.view else None  # type: ignore[method-assign]
        pickler.dump(self.agent)
        return {**self._without_agent(), "agent": buffer.getvalue(), "oracle": self.view is self}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Gives the agent its view again."""
        agent, oracle = state.pop("agent"), state.pop("oracle")
        self.__dict__.update(state)
        self.view = self if oracle else View(self)
        unpickler = pickle.Unpickler(io.BytesIO(agent))
        unpickler.persistent_load = lambda _: self.view  # type: ignore[method-assign]
        self.agent = unpickler.load()

    def _without_agent(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("agent", "view")}


class RouterAdapter(Adapter):
    """That of a routing agent: the observation, info and pulled methods of KVGym/Route-v0.

    Args:
        env: The environment.
        name: "module:name".

    Raises:
        ValueError: If there is no such module or agent, or the agent wants an unknown form of observation.
    """

    def __init__(self, env: Any, name: str) -> None:
        """Makes the agent."""
        module, _, agent_name = name.partition(":")
        try:
            make_agent = _homes.load(module).make_agent
        except (ImportError, AttributeError, TypeError, ValueError) as error:  # the last two: no name of a module
            raise ValueError(
                f'router must be "module:name" with a make_agent in the module, got {name!r}: {error}'
            ) from error
        agent = make_agent(agent_name)
        if getattr(agent, "environment", ROUTE_ID) != ROUTE_ID:
            raise ValueError(f"router must be an agent of {ROUTE_ID}, {name!r} plays {agent.environment}")
        view = getattr(agent, "env_kwargs", {}).get("view", env.scenario.view)
        if view != env.scenario.view:
            raise ValueError(
                f"router {name!r} is made for the view {view!r}, the scenario shows {env.scenario.view!r}: "
                f'give scenario_overrides={{"view": {view!r}}}'
            )
        super().__init__(env, agent, env.layout.of_router(), env.layout.n_workers)
        self._form = self.layout.bits(agent.observation)

    def choose(self) -> int:
        """The agent's answer to the ROUTE decision that is due; one that is not legal as in KVGym/Route-v0."""
        n = self.layout.n_workers
        observation, mask = np.empty(self.layout.size, np.float32), np.empty(n, np.int8)
        _, _, time, session = self.env.call_kernel(LOOK, 0, ASK, self._form, observation, mask)
        worker = int(self.ask(observation, mask.copy(), time, session))
        if not 0 <= worker < n:
            raise ValueError(f"the router must choose a worker from 0 to {n - 1}, it chose {worker}")
        return worker if mask[worker] else legal_instead(worker, mask)

    def action_masks(self) -> NDArray[np.bool_]:
        """Workers that may be chosen: bool (M,)."""
        up: NDArray[np.bool_] = self.env.simulator.up()
        return up
