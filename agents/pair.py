"""A routing agent and an evicting agent as one agent for KVGym/Joint-v0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents.base import Agent, Info, Observation
from agents.named import Part, as_agent
from kvgym.envs.base import finished_since
from kvgym.envs.features import DECISION_FEATURES, IDENTITY, LOGARITHMIC
from kvgym.envs.layout import Layout
from kvgym.evaluation.stage import EVICT, JOINT, ROUTE, env_kwargs_of

# The joint observation: which decision is due, then the observation of Route-v0, then what is wanted and candidates.
# What follows the first part is the observation of Evict-v0.
_FLAGS = len(DECISION_FEATURES)


class Pair(Agent):
    """One agent routes, another evicts, each as if it were alone in its own environment.

    Both see the observation, action mask, time since their own last decision, and pulled methods of KVGym/Route-v0 and
    KVGym/Evict-v0; `Pair("lbgr_code", "rlt")` is the pair of arXiv 2601.18999. If one of them wants scaled observations
    and the other one physical ones, the scaled ones are computed here, up to float32 rounding.

    Args:
        router: Who routes: an agent, or a name that `agents.make_agent` knows.
        evictor: Who evicts leaves, likewise.

    Raises:
        ValueError: If one of them plays another environment, or the evictor chooses rules instead of leaves.
    """

    environment: ClassVar[str] = JOINT

    def __init__(self, router: Part, evictor: Part) -> None:
        """Makes and checks both."""
        self.router = as_agent("router", router, ROUTE)
        self.evictor = as_agent("evictor", evictor, EVICT)
        asked = env_kwargs_of(self.evictor)
        if asked.setdefault("action", "leaf") != "leaf":
            raise ValueError("evictor must choose leaves, it chooses rules: see agents.rule_pair.RulePair")
        self.env_kwargs: Mapping[str, Any] = asked
        forms = {self.router.observation, self.evictor.observation}
        self.observation = forms.pop() if len(forms) == 1 else "physical"

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        n, slots = self.n_workers, self.layout.n_candidates
        self._routes = Seat(self.env, Layout(n), 0, n, self.router, self.observation)
        leaves = Layout(n, routes=False, evicts=True, n_candidates=slots)
        self._evicts = Seat(self.env, leaves, n, slots, self.evictor, self.observation)
        for seat in (self._routes, self._evicts):
            seat.agent.reset(cast(Any, seat), seed)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        return (self._routes if observation[0] else self._evicts).act(observation, info)


class Seat:
    """What one of the two takes for its environment.

    Args:
        env: The joint environment.
        layout: That of its own environment.
        first: First of its actions among the joint ones.
        n_actions: How many it has.
        agent: Who sits here.
        form: Of the joint observations.
    """

    def __init__(self, env: Any, layout: Layout, first: int, n_actions: int, agent: Any, form: str) -> None:
        """Opens the seat for an episode."""
        self.env = env
        self.unwrapped = self
        self.agent = agent
        self.scenario = env.scenario
        self.layout = layout
        self.action_space = spaces.Discrete(n_actions)
        self.observation_space = layout.space(agent.observation)
        self._actions = slice(first, first + n_actions)
        self._features = slice(_FLAGS, _FLAGS + layout.size)
        self._scaling = Scaling(layout) if agent.observation != form else None
        self._clock = env.simulator.tables["clock"]
        self._reported = 0
        self._time: float | None = None

    def act(self, observation: Observation, info: Info) -> int:
        """The agent's answer, as a joint action."""
        own = observation[self._features]
        if self._scaling is not None:
            own = self._scaling.scale(own)
        time = info["time"]
        answer = self.agent.act(
            own,
            {
                "action_mask": info["action_mask"][self._actions],
                "dt": 0.0 if self._time is None else time - self._time,
                "time": time,
                "session": info["session"],
            },
        )
        self._time = time
        self._reported = int(self._clock["n_finished"][0])
        if not 0 <= answer < self.action_space.n:
            raise ValueError(
                f"{type(self.agent).__name__}: action must be 0 to {self.action_space.n - 1}, got {answer}"
            )
        return self._actions.start + int(answer)

    def action_masks(self) -> NDArray[np.bool_]:
        """Which of its actions are legal: bool (n,)."""
        masks: NDArray[np.bool_] = self.env.action_masks()[self._actions]
        return masks

    def finished(self) -> NDArray[np.float64]:
        """Requests that finished since its own last decision, see `kvgym.envs.base.ClusterEnv.finished`."""
        return finished_since(self.env.simulator, self._reported, self.scenario.warmup_requests)

    def prompt_pages(self) -> NDArray[np.int64]:
        """See `kvgym.envs.base.ClusterEnv.prompt_pages`."""
        pages: NDArray[np.int64] = self.env.prompt_pages()
        return pages


class Scaling:
    """Physical observations into scaled ones, as `kvgym.envs.features` defines them."""

    def __init__(self, layout: Layout) -> None:
        """Notes what each position needs."""
        self._logarithmic = np.array([feature.transform == LOGARITHMIC for feature in layout.features])
        self._identity = np.array([feature.transform == IDENTITY for feature in layout.features])
        self._scale = np.array([feature.scale for feature in layout.features])
        self._cap = np.array([feature.cap for feature in layout.features])
        self._top = np.log1p(self._cap / self._scale)

    def scale(self, physical: Observation) -> Observation:
        """The scaled form of a physical observation."""
        logarithms = np.log1p(physical / self._scale) / self._top
        bounded = np.minimum(np.where(self._logarithmic, logarithms, physical / self._cap), 1.0)
        return np.where(self._identity, physical, bounded).astype(np.float32)
