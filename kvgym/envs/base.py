"""What all environments have in common: arguments, episodes, seeds, and what is pulled when wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from kvgym import _check, _compile
from kvgym.envs.kernels.codes import EVICTS, FETCHES, LOOK, ROUTES, SCALED
from kvgym.envs.layout import FORMS, Layout
from kvgym.envs.metrics import episode_metrics
from kvgym.envs.picture import render_image
from kvgym.envs.rendering import render_text
from kvgym.envs.scene import read_scene
from kvgym.scenarios import SPLITS, Scenario, ScenarioLike, get_scenario
from kvgym.sim import Simulator
from kvgym.sim.base.codes import EVICT, ROUTE, TRUNCATED
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
Result = tuple[int, float, float, float, int]
"""What kernels return: code of `rules`, cost e2e, cost ttft, time (all in seconds), session."""


class ClusterEnv(gym.Env[Observation, Any]):
    """Base of the environments: a scenario, its simulator, and episodes of it.

    Attributes:
        scenario: What is played.
        simulator: Where it is played.
        layout: Where features stand in an observation.
        workload: What arrives in the episode in progress.
        n_invalid: Actions of this episode that were not legal.
    """

    # Frames per second: as many decisions. A power of two, or moviepy rounds its times and loses the last frame.
    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 16}  # noqa: RUF012  Env has it so
    _COMPILED: ClassVar[tuple[str, ...]] = ("_step_kernel", "_kernel", "_act_kernel", "_address")
    workload: Workload
    n_invalid: int = 0
    _mask: NDArray[np.int8]
    _warmup_evictor: str | None = None
    """Who evicts for warm-up requests where the agent is the evictor; None = the agent."""
    _ahead: Future[tuple[Simulator, np.random.SeedSequence]] | None = None

    def __init__(
        self,
        scenario: ScenarioLike,
        *,
        scenario_overrides: Mapping[str, Any] | None,
        observation: str,
        reward: str | None,
        horizon: str,
        split: str,
        render_mode: str | None,
    ) -> None:
        """Checks what all environments take; the rest follows with `_open`."""
        self.scenario: Scenario = get_scenario(scenario, scenario_overrides)
        self.split = _check.choice("split", split, SPLITS)
        if render_mode is not None:
            _check.choice("render_mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode
        self._scaled = _check.choice("observation", observation, FORMS) == "scaled"
        self._pays_ttft = (
            _check.choice("reward", self.scenario.objective if reward is None else reward, REWARDS) == "ttft"
        )
        self._truncates = _check.choice("horizon", horizon, HORIZONS) == "truncate"
        self._per_cost = -1.0 / self.scenario.reward_scale_s
        self._n = len(self.scenario.cluster)
        self._fails = self.scenario.fails

    def _open(self, layout: Layout, simulator: Simulator) -> None:
        """The rest of the set-up, once a kind of environment knows its layout and its simulator."""
        self.layout = layout
        self.simulator = simulator
        self.observation_space = layout.space("scaled" if self._scaled else "physical")  # type: ignore[assignment]
        self._size = layout.size
        self._form = form_bits(layout, self._scaled)
        self._load_kernels()
        self._episode = -1
        self._running = False
        self._time = 0.0
        self._first_share = 1.0  # of an episode's requests, played in the first one after a seed: `stagger`

    def _load_kernels(self) -> None:
        kernels = _compile.load("kvgym.envs.kernels.entry")
        self._step_kernel, self._act_kernel = kernels.step, kernels.act

    def _begin(self, seed: int | None, options: dict[str, Any] | None) -> np.random.SeedSequence:
        """Puts the simulator at the start of the next episode; returns the seeds of the rules' random choices."""
        given = self._given_seeds({} if options is None else options)
        ahead, self._ahead = self._ahead, None
        super().reset(seed=seed)
        self._episode = 0 if seed is not None else self._episode + 1
        self.n_invalid = 0
        if ahead is not None and seed is None and not given:
            self.simulator, policy_seed = ahead.result()
        else:
            seeds = [given.get(key, self.np_random_seed) for key in SEED_OPTIONS]
            policy_seed = self._set_up(self.simulator, self._episode, seeds)
        assert self.simulator.workload is not None
        self.workload = self.simulator.workload
        self._address = self.simulator.address
        return policy_seed

    def _set_up(self, simulator: Simulator, episode: int, seeds: Sequence[int]) -> np.random.SeedSequence:
        """Resets `simulator` to the start of an episode, and changes nothing else; `seeds` as in `SEED_OPTIONS`."""
        scenario = self.scenario
        workload_seed = scenario.seeds(seeds[0], self.split, episode)[0]
        policy_seed = scenario.seeds(seeds[1], self.split, episode)[1]
        requests = scenario.episode_requests
        if episode == 0:
            requests = max(1, round(self._first_share * requests))
        workload = scenario.workload(workload_seed, self.split)
        simulator.reset(
            workload,
            policy_seed,
            warmup=scenario.warmup_requests,
            warmup_router=scenario.warmup_router,
            warmup_evictor=self._warmup_evictor,
            limit=scenario.warmup_requests + requests,
            truncate=self._truncates,
            hints=scenario.hints(workload, workload_seed),
            slo_ttft_s=scenario.slo_ttft_s,
            slo_tpot_s=scenario.slo_tpot_s,
            faults=scenario.fault_schedule(workload_seed),
        )
        return policy_seed

    def make_ahead(self, executor: Executor) -> None:
        """Has the next episode made up to its first decision while this one is played; a seed throws it away."""
        seed = self.np_random_seed
        self._ahead = executor.submit(self._next_episode, self.simulator.blank(), self._episode + 1, (seed, seed))

    def _next_episode(
        self, simulator: Simulator, episode: int, seeds: tuple[int, int]
    ) -> tuple[Simulator, np.random.SeedSequence]:
        policy_seed = self._set_up(simulator, episode, seeds)
        scratch = np.empty(self._size, np.float32), np.empty(self._mask.size, np.int8)
        self._act_kernel(simulator.address, LOOK, 0, 0, self._form, *scratch)
        return simulator, policy_seed

    def _given_seeds(self, options: dict[str, Any]) -> dict[str, int]:
        for key in _check.mapping("options", options):
            _check.choice("options key", key, SEED_OPTIONS)
        return {key: _check.whole(key, seed, 0) for key, seed in options.items()}

    def _check_action(self, action: Any, n: int, what: str) -> int:
        """The action as an int; raises as `step` says."""
        if not self._running:
            raise RuntimeError("call reset() before step(): no episode is in progress")
        return _check.index("action", action, n, what)

    def _legal(self, choice: int, n: int | None = None) -> int:
        """The choice; an illegal one is counted and stands for legal[choice mod number of legal ones].

        Args:
            choice: An action.
            n: Only the first n places of the mask are about it; None: all.
        """
        if self._mask[choice]:
            return choice
        self.n_invalid += 1
        return legal_instead(choice, self._mask[:n])

    def _opening(self, observation: Observation, time: float, session: int) -> tuple[Observation, dict[str, Any]]:
        """What `reset` returns, once the mask is there."""
        self._time = time
        return observation, {"action_mask": self._mask.copy(), "dt": 0.0, "time": time, "session": session}

    def _outcome(
        self, observation: Observation, result: Result
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """What `step` returns, from what a kernel did; costs are those of the step."""
        code, e2e, ttft, time, session = result
        info = {"action_mask": self._mask.copy(), "dt": time - self._time, "time": time, "session": session}
        self._time = time
        reward = (ttft if self._pays_ttft else e2e) * self._per_cost
        if code in (ROUTE, EVICT):
            return observation, reward, False, False, info
        self._running = False
        info["episode_metrics"] = self.episode_metrics()
        return observation, reward, code != TRUNCATED, code == TRUNCATED, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are legal now: bool (n,). The name is that of sb3-contrib's maskable algorithms."""
        return self._mask.astype(bool)

    def finished(self, first: int | None = None) -> NDArray[np.float64]:
        """Requests that finished since the last decision, in order of their finish.

        Args:
            first: Instead: all that finished after the first `first` ones of the episode, see `n_finished`.

        Returns:
            float64 (n, 8) with `FINISHED_COLUMNS`: decision (number of the last ROUTE decision about it, 0 = the first
            after the warm-up; negative: of the warm-up), worker, arrival, first_token, finish (s), prompt_tokens,
            output_tokens, hit_tokens.

        Raises:
            RuntimeError: Before `reset()`.
        """
        if not self.simulator.tables:
            raise RuntimeError("call reset() before finished(): no episode has begun")
        if first is None:
            return finished_since(self.simulator, int(self.simulator.tables["clock"]["n_reported"][0]))
        return finished_since(self.simulator, _check.whole("first", first, 0))

    def n_finished(self) -> int:
        """How many requests have finished in this episode, those of the warm-up included."""
        return int(self.simulator.tables["clock"]["n_finished"][0]) if self.simulator.tables else 0

    def prompt_pages(self) -> NDArray[np.int64]:
        """Ids of the full pages of the prompt that is being routed, numbered by first appearance: int64 (n,)."""
        return self.simulator.prompt_pages()

    def episode_metrics(self) -> dict[str, float]:
        """Metrics of the requests that count and have finished, see `kvgym.envs.metrics.episode_metrics`."""
        return episode_metrics(self.simulator, self.scenario)

    def render(self) -> str | NDArray[np.uint8] | None:
        """The cluster as it is now, between two steps.

        Returns:
            For render_mode "ansi" text; for "rgb_array" a picture, uint8 (height, width, 3), of one shape as long as
            the environment lives; without a mode nothing.

        Raises:
            RuntimeError: Before `reset()`.
        """
        if self.render_mode is None:
            gym.logger.warn(
                'render() without a render mode: make the environment with render_mode="ansi" or "rgb_array"'
            )
            return None
        scene = read_scene(self.simulator)
        return render_text(scene) if self.render_mode == "ansi" else render_image(scene)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but compiled code and addresses: a pickled environment goes on where it was."""
        return {k: v for k, v in self.__dict__.items() if k not in self._COMPILED and k != "_ahead"}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        """Loads the kernels again and points them at the tables."""
        self.__dict__.update(saved)
        self._load_kernels()
        if self.simulator.tables:
            self._address = self.simulator.address


def legal_instead(choice: int, mask: NDArray[Any]) -> int:
    """What an illegal choice stands for: legal[choice mod number of legal ones]."""
    legal = np.flatnonzero(mask)
    return int(legal[choice % len(legal)])


def form_bits(layout: Layout, scaled: bool) -> int:
    """What an observation consists of, as the kernels want it."""
    return SCALED * scaled + ROUTES * layout.routes + EVICTS * layout.evicts + FETCHES * layout.fetches


def finished_since(simulator: Simulator, first: int) -> NDArray[np.float64]:
    """Rows of `ClusterEnv.finished` for all requests that finished after the first `first`."""
    tables = simulator.tables
    done = tables["finished"][first : int(tables["clock"]["n_finished"][0])]
    run, request = tables["progress"][done], tables["requests"][done]
    out = np.empty((len(done), len(FINISHED_COLUMNS)))
    out[:, 0] = run["decision"]
    out[:, 1] = run["worker"]
    for column, name in enumerate(("arrived_ps", "first_token_ps", "finish_ps"), 2):
        out[:, column] = run[name] * 1e-12
    out[:, 5] = request["prompt_tokens"]
    out[:, 6] = request["output_tokens"]
    out[:, 7] = run["hit_tokens"]
    return out
