"""A routing agent at work inside an environment in which another agent evicts."""

from __future__ import annotations

import io
import pickle
from copy import deepcopy
from typing import Any, Self

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from kvgym import _check, _homes
from kvgym.envs.base import Observation, form_bits, legal_instead
from kvgym.envs.kernels.codes import LOOK
from kvgym.envs.layout import Layout
from kvgym.envs.view import View, shown
from kvgym.sim.kernels.rules import ROUTERS


def check_router(router: object) -> tuple[str, str | None]:
    """Takes the argument `router` of an environment apart.

    Args:
        router: A rule of `kvgym.sim.ROUTERS` but "agent", or "module:name" for the agent that `module.make_agent(name)`
            makes, such as "agents:lbgr_code".

    Returns:
        Router of the simulator, and the agent's "module:name" if there is one.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(router, str) and ":" in router:
        return "agent", router
    try:
        return _check.choice("router", router, ROUTERS[1:]), None
    except ValueError as error:
        raise ValueError(f'{error}; or "module:name" of an agent, as "agents:lbgr_code"') from None


ROUTE_ID = "KVGym/Route-v0"


class Seat:
    """Where an agent sits while another environment, or another agent, asks it for a part of the decisions.

    Attributes:
        view: What the agent takes for its environment: a view of this seat, or the seat itself for an oracle.

    Args:
        env: The environment that it is in, or the view that an agent has of it.
        agent: Who sits here.
        layout: That of the observations which the agent is shown.
        n_actions: How many actions it has.
    """

    def __init__(self, env: Any, agent: Any, layout: Layout, n_actions: int) -> None:
        """Opens the seat."""
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
        """Which actions may be chosen: bool (n,)."""
        raise NotImplementedError

    # Whoever copies or pickles the environment copies the agent with it, whose view can't be: it gets that of the copy.

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A seat in the copied environment, with a copy of the agent."""
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
        """Seats the agent again."""
        agent, oracle = state.pop("agent"), state.pop("oracle")
        self.__dict__.update(state)
        self.view = self if oracle else View(self)
        unpickler = pickle.Unpickler(io.BytesIO(agent))
        unpickler.persistent_load = lambda _: self.view  # type: ignore[method-assign]
        self.agent = unpickler.load()

    def _without_agent(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("agent", "view")}


class RouterSeat(Seat):
    """The seat of a routing agent: the observation, info and pulled methods of KVGym/Route-v0.

    Attributes:
        answers: The workers that it has chosen in this episode, in their order.

    Args:
        env: The environment that it is in.
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
        n_workers = env.layout.n_workers
        super().__init__(env, agent, Layout(n_workers, fetches=env.layout.fetches), n_workers)
        self._form = form_bits(self.layout, agent.observation == "scaled")
        self.answers: list[int] = []

    def reset(self, seed: int) -> None:
        """See `Seat.reset`."""
        self.answers = []
        super().reset(seed)

    def choose(self, filled: NDArray[np.int8]) -> int:
        """The agent's answer to the ROUTE decision that is due; one that is not legal as in KVGym/Route-v0."""
        observation = np.empty(self.layout.size, np.float32)
        _, _, _, time, session = self.env.call_kernel(LOOK, 0, 0, self._form, observation, filled)
        worker = int(self.ask(observation, self.action_masks().view(np.int8), time, session))
        if not 0 <= worker < self.layout.n_workers:
            raise ValueError(
                f"the router must choose a worker from 0 to {self.layout.n_workers - 1}, it chose {worker}"
            )
        self.answers.append(worker)
        mask = self.action_masks()
        return worker if mask[worker] else legal_instead(worker, mask)  # as KVGym/Route-v0 has it

    def action_masks(self) -> NDArray[np.bool_]:
        """Which workers may be chosen: bool (M,)."""
        up: NDArray[np.bool_] = self.env.simulator.up()
        return up
