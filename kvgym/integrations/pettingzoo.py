"""KVGym/Joint-v0 as an AEC environment of PettingZoo: a router and an evictor per worker (extra "pettingzoo")."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv

from kvgym.envs.base import SEED_OPTIONS, Observation
from kvgym.envs.joint import JointEnv
from kvgym.envs.settings import DEFAULT_SCENARIO
from kvgym.scenarios import ScenarioLike

ROUTER = "router_0"
EVICTOR = "evictor_{}"


class ClusterAec(AECEnv[str, Observation, Any]):  # type: ignore[misc]  # PettingZoo has no types
    """The leaf form of KVGym/Joint-v0, decided by several: `router_0` sends requests, `evictor_i` evicts on worker i.

    Whose decision is due is in `agent_selection`; an evictor whose worker never wants pages is never asked. All are
    shown the observation of KVGym/Joint-v0, so that all have the same space, and all get its reward: the cost is
    shared. The sum of the rewards that one agent gets is the return of the joint environment.

    An action is the agent's own: a worker, or a slot. `infos[agent]` of the agent whose turn it is has the keys of
    KVGym/Joint-v0, "action_mask" (int8, over its own actions) among them, and so `action_space(agent).sample(mask)`
    draws a legal one; of the others it is empty. At the end all agents terminate (or are truncated) at once, and
    `infos[agent]["episode_metrics"]` has the metrics.

    Args:
        scenario: See `JointEnv`.
        **arguments: Those of `JointEnv` but `action`.

    Raises:
        ValueError: If an argument is not allowed.
        TypeError: If one is not known.
    """

    def __init__(self, scenario: ScenarioLike = DEFAULT_SCENARIO, **arguments: Any) -> None:
        """Makes the joint environment."""
        if "action" in arguments:
            raise ValueError(f'action is always "leaf" here, got {arguments["action"]!r}')
        super().__init__()
        self.joint = JointEnv(scenario, action="leaf", **arguments)
        layout = self.joint.layout
        self._n_workers, self._asked = layout.n_workers, layout.evict("asked_worker")
        self.metadata = {**JointEnv.metadata, "name": "kvgym_joint_v0", "is_parallelizable": False}
        self.render_mode = self.joint.render_mode
        self._evictors = [EVICTOR.format(worker) for worker in range(layout.n_workers)]
        self.possible_agents = [ROUTER, *self._evictors]
        self._spaces: dict[str, spaces.Space[Any]] = {
            ROUTER: spaces.Discrete(layout.n_workers),
            **{name: spaces.Discrete(layout.n_candidates) for name in self._evictors},
        }
        # A space for each, since each may be seeded.
        self._shown = {name: layout.space(self.joint.settings.observation) for name in self.possible_agents}
        self.agents: list[str] = []

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """That of the joint environment."""
        return self._shown[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """Discrete(M) for the router, Discrete(K) for an evictor."""
        return self._spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Starts the next episode, as `JointEnv.reset` does.

        Args:
            seed: Starts a new series of episodes.
            options: `workload_seed` and `policy_seed`. Others are for other environments and passed over, as
                PettingZoo wants it.

        Raises:
            ValueError: If an option is no integer >= 0.
        """
        known = {name: value for name, value in (options or {}).items() if name in SEED_OPTIONS}
        self._observation, info = self.joint.reset(seed=seed, options=known)
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self._select(info)

    def step(self, action: Any) -> None:
        """Does what the agent whose turn it is has chosen; an agent whose episode is over leaves with None.

        Raises:
            ValueError: If `action` is not in the agent's action space.
        """
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        if not self.action_space(agent).contains(action):
            raise ValueError(f"action of {agent} must be in {self.action_space(agent)}, got {action!r}")
        chosen = int(action) + (0 if agent == ROUTER else self._n_workers)
        self._observation, reward, terminated, truncated, info = self.joint.step(chosen)
        self._cumulative_rewards[agent] = 0.0
        self.rewards = dict.fromkeys(self.agents, float(reward))
        self._accumulate_rewards()
        if terminated or truncated:
            self.terminations = dict.fromkeys(self.agents, terminated)
            self.truncations = dict.fromkeys(self.agents, truncated)
            self.infos = {name: {"episode_metrics": info["episode_metrics"]} for name in self.agents}
            self._deads_step_first()
        else:
            self._select(info)

    def _select(self, info: dict[str, Any]) -> None:
        """Gives the turn to the agent that is asked, with its part of the mask."""
        agent, own = ROUTER, slice(self._n_workers)
        if not self._observation[0]:
            agent, own = self._evictors[int(self._observation[self._asked])], slice(self._n_workers, None)
        self.agent_selection = agent
        self.infos = {name: {} for name in self.agents}
        self.infos[agent] = {**info, "action_mask": info["action_mask"][own]}

    def observe(self, agent: str) -> Observation:
        """The joint environment's observation, whoever asks."""
        return self._observation.copy()

    def state(self) -> NDArray[np.float32]:
        """The same."""
        return self._observation.copy()

    def render(self) -> Any:
        """See `JointEnv.render`."""
        return self.joint.render()

    def close(self) -> None:
        """See `JointEnv.close`."""
        self.joint.close()
