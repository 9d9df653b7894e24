"""KVGym/Route-v0: which worker serves each request?"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from kvgym import _check, _compile
from kvgym.envs.layout import FORMS, Layout
from kvgym.envs.metrics import episode_metrics
from kvgym.envs.rendering import render_text
from kvgym.scenarios import SPLITS, get_scenario
from kvgym.sim import EVICTORS
from kvgym.sim.kernels.rules import ROUTE, TRUNCATED
from kvgym.workload import Workload

HORIZONS = ("drain", "truncate")
REWARDS = ("e2e", "ttft")
SEED_OPTIONS = ("workload_seed", "policy_seed")
FINISHED_COLUMNS = (
    "decision",
    "worker",
    "arrival",
    "first_token",
    "finish",
    "prompt_tokens",
    "output_tokens",
    "hit_tokens",
)

Observation = NDArray[np.float32]


class RouteEnv(gym.Env[Observation, np.int64]):
    """Routes requests to the workers of a simulated LLM serving cluster.

    ## Description
    Requests arrive; for each one the agent names the worker that serves it. A worker batches its requests continuously
    and keeps the KV pages of earlier prompts in a prefix cache: a prompt whose beginning is cached is served faster,
    but whoever sends all similar prompts to one worker overloads it.

    ## Action Space
    `Discrete(M)`: the worker, 0 .. M-1. An action outside raises. `info["action_mask"]` (int8) and `action_masks()`
    (bool) say which workers may be chosen: all of them, as long as workers can't fail.

    ## Observation Space
    `Box(float32)` of length 14 + 22 M: a request block, then a block per worker; see `kvgym.envs.layout` for the table.
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
    | `scenario` | "gsp-stable" | a name of `kvgym.scenarios.SCENARIOS` |
    | `scenario_overrides` | none | fields of the scenario to change, see `Scenario.with_overrides` |
    | `observation` | "scaled" | "scaled" or "physical" |
    | `reward` | the scenario's objective | "e2e" or "ttft" |
    | `evictor` | the scenario's | one of `kvgym.sim.EVICTORS` |
    | `horizon` | "drain" | "drain" or "truncate" |
    | `split` | "train" | "train", "validation" or "test": workloads of different splits never share a random stream |
    | `render_mode` | none | "ansi" |

    ## Info
    `action_mask`, `dt` (s since the last decision), `time` (s), `session` (of the request, -1 at the end); at the end
    also `episode_metrics`. Pulled when wanted: `finished()`, `prompt_pages()`.

    `reset(options=...)` takes `workload_seed` and `policy_seed`, integers that replace the seed of the workload's, or
    of the rules' random choices.

    ## Version History
    * v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012  Env declares it so

    def __init__(
        self,
        scenario: str = "gsp-stable",
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
        self.scenario = get_scenario(scenario, scenario_overrides)
        self.split = _check.choice("split", split, SPLITS)
        if evictor is not None:
            _check.choice("evictor", evictor, EVICTORS)
        if render_mode is not None:
            _check.choice("render_mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode
        self.layout = Layout(len(self.scenario.cluster))
        self.observation_space = self.layout.space(observation)  # type: ignore[assignment]  # a Box of float32
        self.action_space = spaces.Discrete(self.layout.n_workers)
        self._scaled = _check.choice("observation", observation, FORMS) == "scaled"
        self._pays_ttft = (
            _check.choice("reward", self.scenario.objective if reward is None else reward, REWARDS) == "ttft"
        )
        self._truncates = _check.choice("horizon", horizon, HORIZONS) == "truncate"
        self._per_cost = -1.0 / self.scenario.reward_scale_s
        self._size = self.layout.size
        self._n = self.layout.n_workers
        self._mask = np.ones(self._n, np.int8)
        self.simulator = self.scenario.simulator(evictor)
        self._load_kernels()
        self._episode = -1
        self._running = False
        self._time = 0.0

    def _load_kernels(self) -> None:
        kernels = _compile.load("kvgym.envs.kernels.entry")
        self._kernel_start, self._kernel_step = kernels.start, kernels.step

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
        given = self._given_seeds(options or {})
        super().reset(seed=seed)
        self._episode = 0 if seed is not None else self._episode + 1
        workload_seed, policy_seed = self._seeds(given)
        self.workload: Workload = self.scenario.workload(workload_seed, self.split)
        sim = self.simulator
        sim.reset(
            self.workload,
            policy_seed,
            warmup=self.scenario.warmup_requests,
            warmup_router=self.scenario.warmup_router,
            limit=self.scenario.warmup_requests + self.scenario.episode_requests,
            truncate=self._truncates,
            hints=self.scenario.hints(self.workload, workload_seed),
            slo_ttft_s=self.scenario.slo_ttft_s,
            slo_tpot_s=self.scenario.slo_tpot_s,
        )
        self._address = sim.address
        observation = np.empty(self._size, np.float32)
        code, _, _, self._time, session = self._kernel_start(self._address, self._scaled, observation)
        self._running = code == ROUTE
        return observation, {"action_mask": self._mask.copy(), "dt": 0.0, "time": self._time, "session": session}

    def _given_seeds(self, options: dict[str, Any]) -> dict[str, int]:
        for key in options:
            _check.choice("options key", key, SEED_OPTIONS)
        return {key: _check.whole(key, seed, 0) for key, seed in options.items()}

    def _seeds(self, given: dict[str, int]) -> tuple[np.random.SeedSequence, np.random.SeedSequence]:
        base = self.np_random_seed
        workload, policy = (
            self.scenario.seeds(given.get(key, base), self.split, self._episode) for key in SEED_OPTIONS
        )
        return workload[0], policy[1]

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Sends the request to worker `action` and lets time pass until the next one.

        Raises:
            RuntimeError: Before `reset()` or after the end of the episode.
            ValueError: If `action` is not in the action space.
        """
        if not self._running:
            raise RuntimeError("call reset() before step(): no episode is in progress")
        try:
            worker = operator.index(action)
        except TypeError:
            worker = -1
        if not 0 <= worker < self._n:
            raise ValueError(f"action must be a worker from 0 to {self._n - 1}, got {action!r}")
        before = self._time
        observation = np.empty(self._size, np.float32)
        code, e2e, ttft, time, session = self._kernel_step(self._address, worker, self._scaled, observation)
        self._time = time
        info = {"action_mask": self._mask.copy(), "dt": time - before, "time": time, "session": session}
        reward = (ttft if self._pays_ttft else e2e) * self._per_cost
        if code == ROUTE:
            return observation, reward, False, False, info
        self._running = False
        info["episode_metrics"] = self.episode_metrics()
        return observation, reward, code != TRUNCATED, code == TRUNCATED, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Which workers may be chosen now: bool (M,). The name is that of sb3-contrib's maskable algorithms."""
        return self._mask.astype(bool)

    def finished(self) -> NDArray[np.float64]:
        """Requests that finished since the last decision, in order of their finish.

        Returns:
            float64 (n, 8) with `FINISHED_COLUMNS`: decision (0 = the first of the episode; negative: routed in the
            warm-up), worker, arrival, first_token, finish (s), prompt_tokens, output_tokens, hit_tokens.

        Raises:
            RuntimeError: Before `reset()`.
        """
        tables = self.simulator.tables
        if not tables:
            raise RuntimeError("call reset() before finished(): no episode has begun")
        clock = tables["clock"][0]
        done = tables["finished"][int(clock["n_reported"]) : int(clock["n_finished"])]
        run, request = tables["progress"][done], tables["requests"][done]
        out = np.empty((len(done), len(FINISHED_COLUMNS)))
        out[:, 0] = run["order"] - self.scenario.warmup_requests
        out[:, 1] = run["worker"]
        for column, name in enumerate(("arrived_ps", "first_token_ps", "finish_ps"), 2):
            out[:, column] = run[name] * 1e-12
        out[:, 5] = request["prompt_tokens"]
        out[:, 6] = request["output_tokens"]
        out[:, 7] = run["hit_tokens"]
        return out

    def prompt_pages(self) -> NDArray[np.int64]:
        """Ids of the full pages of the prompt that is being routed, numbered by first appearance: int64 (n,)."""
        return self.simulator.prompt_pages()

    def episode_metrics(self) -> dict[str, float]:
        """Metrics of the requests that count and have finished, see `kvgym.envs.metrics.episode_metrics`."""
        return episode_metrics(self.simulator, self.scenario, self.scenario.warmup_requests)

    def render(self) -> str | None:
        """The cluster as text for render_mode "ansi", else nothing."""
        if self.render_mode is None:
            gym.logger.warn('render() without a render mode: make the environment with render_mode="ansi"')
            return None
        return render_text(self.simulator)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but compiled code and addresses: a pickled environment goes on where it was."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_kernel_start", "_kernel_step", "_address")}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        """Loads the kernels again and points them at the tables."""
        self.__dict__.update(saved)
        self._load_kernels()
        if self.simulator.tables:
            self._address = self.simulator.address
