"""KVGym/Route-v0: which worker serves each request?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from kvgym import _check
from kvgym.envs.base import ClusterEnv, Observation, Result
from kvgym.envs.kernels.codes import LOOK
from kvgym.envs.layout import Layout
from kvgym.envs.unknown import explains_unknown
from kvgym.scenarios import ScenarioLike
from kvgym.sim import EVICTORS
from kvgym.sim.base.codes import ROUTE


class RouteEnv(ClusterEnv):
    """Routes requests to the workers of a simulated LLM serving cluster.

    ## Description
    Requests arrive; for each one the agent names the worker that serves it. A worker batches its requests continuously
    and keeps the KV pages of earlier prompts in a prefix cache: a prompt whose beginning is cached is served faster,
    but whoever sends all similar prompts to one worker overloads it.

    ## Action Space
    `Discrete(M)`: the worker, 0 .. M-1. An action outside raises. `info["action_mask"]` (int8) and `action_masks()`
    (bool) say which workers may be chosen: those that are up. One that is not stands for legal[a mod number of legal
    ones], and is counted in `n_invalid`. A request whose worker fails comes back: there is another decision about it.

    ## Observation Space
    `Box(float32)` of length 14 + 22 M: a request block, then a block per worker; where pages may be fetched from other
    workers (`transfer="auto"`) 2 M more; see `kvgym.envs.layout` for the table.
    `observation="scaled"` (default) is for networks, `"physical"` has the same features in their units.

    ## Rewards
    Minus the time integral, over the step, of the number of counted requests in the system (`reward="e2e"`) or of those
    without a first token (`"ttft"`), over the scenario's `reward_scale_s`. The sum of an episode's rewards times
    `reward_scale_s` over the number of counted requests is minus their mean latency.

    ## Starting State
    Empty caches, then `warmup_requests` arrivals played by the scenario's `warmup_router`.

    ## Episode End
    `horizon="drain"` (default): after the last of the episode's decisions the cluster works off what it has, and the
    episode terminates. `horizon="truncate"`: stops at the next arrival with `truncated=True` (for training; never
    scored); where no further request arrives, it drains and terminates.

    ## Arguments
    | argument | default | meaning |
    |---|---|---|
    | `scenario` | "gsp-stable" | a name of `kvgym.scenarios.SCENARIOS`, a file, "module:name", .., see `get_scenario` |
    | `scenario_overrides` | none | fields of the scenario to change, see `Scenario.with_overrides` |
    | `observation` | "scaled" | "scaled" or "physical" |
    | `reward` | the scenario's objective | "e2e" or "ttft" |
    | `evictor` | the scenario's | one of `kvgym.sim.EVICTORS` |
    | `horizon` | "drain" | "drain" or "truncate" |
    | `split` | "train" | "train", "validation" or "test": workloads of different splits never share a random stream |
    | `render_mode` | none | "ansi" (text) or "rgb_array" (a picture) |

    ## Info
    `action_mask`, `dt` (s since the last decision), `time` (s), `session` (of the request, -1 at the end); at the end
    also `episode_metrics`. Pulled when wanted: `finished()`, `prompt_pages()`.

    `reset(options=...)` takes `workload_seed` and `policy_seed`, integers that replace the seed of the workload's, or
    of the rules' random choices.

    ## Version History
    * v0: first version.
    """

    @explains_unknown
    def __init__(
        self,
        scenario: ScenarioLike = "gsp-stable",
        *,
        scenario_overrides: Mapping[str, Any] | None = None,
        observation: str = "scaled",
        reward: str | None = None,
        evictor: str | None = None,
        horizon: str = "drain",
        split: str = "train",
        render_mode: str | None = None,
    ) -> None:
        """Makes the environment; see the class for the arguments.

        Raises:
            ValueError: If an argument is not allowed.
        """
        super().__init__(
            scenario,
            scenario_overrides=scenario_overrides,
            observation=observation,
            reward=reward,
            horizon=horizon,
            split=split,
            render_mode=render_mode,
        )
        if evictor is not None:
            _check.choice("evictor", evictor, EVICTORS)
        self.action_space = spaces.Discrete(self._n)
        self._mask = np.ones(self._n, np.int8)
        self._open(Layout(self._n, fetches=self.scenario.transfers), self.scenario.simulator(evictor))

    def _load_kernels(self) -> None:
        super()._load_kernels()
        if self._fails:
            self._kernel = self._step_kernel
            self._step_kernel = self._step_where_workers_fail

    def _step_where_workers_fail(self, address: int, worker: int, form: int, observation: Observation) -> Result:
        """The kernel `step`, with masks that change."""
        result: Result = self._kernel(address, self._legal(worker), form, observation)
        self._show_up(result[0])
        return result

    def _show_up(self, code: int) -> None:
        """Writes the mask: the workers that are up where one is to be chosen."""
        self._mask[:] = self.simulator.tables["workers"]["up"] if code == ROUTE else 1

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts the next episode: episode e after `reset(seed=s)` is the same whatever was done before.

        Args:
            seed: Starts a new series of episodes.
            options: May hold `workload_seed` and `policy_seed`.

        Raises:
            ValueError: If an option is not known or no integer >= 0.
        """
        self._begin(seed, options)
        observation = np.empty(self._size, np.float32)
        code, _, _, time, session = self._act_kernel(
            self._address, LOOK, 0, 0, self._form, observation, np.empty(0, np.int8)
        )
        self._running = code == ROUTE
        if self._fails:
            self._show_up(code)
        return self._opening(observation, time, session)

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Sends the request to worker `action` and lets time pass until the next one.

        Raises:
            RuntimeError: Before `reset()` or after the end of the episode.
            ValueError: If `action` is not in the action space.
        """
        worker = self._check_action(action, self._n, "a worker")
        observation = np.empty(self._size, np.float32)
        result = self._step_kernel(self._address, worker, self._form, observation)
        return self._outcome(observation, result)
