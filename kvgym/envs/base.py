"""The base of all environments: episodes, seeds, steps, rewards, and what may be asked between two steps."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from kvgym import _check, _compile
from kvgym.envs.kernels.codes import COST, COUNTS_MISSES, LOOK, REWARDS
from kvgym.envs.layout import Layout
from kvgym.envs.metrics import episode_metrics
from kvgym.envs.picture import Painter
from kvgym.envs.scene import read_scene, render_text
from kvgym.envs.settings import DEFAULT_SCENARIO, RENDER_MODES, EnvSettings
from kvgym.scenarios import ScenarioLike
from kvgym.sim import Simulator
from kvgym.sim.base.codes import EVICT, ROUTE, TRUNCATED
from kvgym.sim.evictors import ASK
from kvgym.workload import Workload

KERNELS = ("kvgym.envs.kernels.entry", "kvgym.sim.start", "kvgym.envs.kernels.measure")
"""Modules with the kernels that an environment calls, the last two at its first reset and its first end."""
SEED_OPTIONS = ("workload_seed", "policy_seed")
FINISHED_COLUMNS = (
    *("decision", "worker", "arrival", "first_token", "finish"),
    *("prompt_tokens", "output_tokens", "hit_tokens"),
)
_MOST_FINISHED = 64
"""Rows that are made ready: seldom do more requests finish between two decisions."""

Observation = NDArray[np.float32]
Result = tuple[int, float, float, int]
"""Of a kernel: code of `rules`, cost of the step that the reward pays, time (s), session."""


def load_kernels() -> None:
    """Compiles what is not compiled yet, once: for whoever starts processes that play."""
    for name in KERNELS:
        _compile.load(name)


class ClusterEnv(gym.Env[Observation, Any]):
    """Base of the environments: settings, their simulator, and episodes of the scenario.

    Attributes:
        settings_class: The arguments that the environment takes.
        settings: Those that it was given.
        scenario: The scenario that is played.
        simulator: Its simulator.
        layout: Where features stand in an observation.
        form: The same for kernels: bits of `kernels.codes`.
        workload: What arrives in the episode in progress.
        n_invalid: Actions of this episode that were not legal.
        first_share: Share of an episode's requests that is played in the first one after a seed.
    """

    settings_class: ClassVar[type[EnvSettings]]
    # Frames per second: as many decisions. A power of two, or moviepy rounds its times and loses the last frame.
    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 16}  # noqa: RUF012  Env has it so
    _FORM: ClassVar[int] = 0
    """Further bits of `form`."""
    _COMPILED: ClassVar[tuple[str, ...]] = (
        "_step_kernel",
        "_act_kernel",
        "_costs_kernel",
        "_finished_kernel",
        "_address",
    )
    workload: Workload
    n_invalid: int = 0
    first_share: float = 1.0
    _warmup_evictor: str | None = None
    """The evictor of warm-up requests where the agent is the evictor; None: the agent."""
    _prefetched: Future[tuple[Simulator, np.random.SeedSequence]] | None = None
    _painter: Painter | None = None

    def __init__(self, scenario: ScenarioLike = DEFAULT_SCENARIO, **arguments: Any) -> None:
        self._open(self.settings_class.of(type(self).__name__, scenario, arguments))

    def _open(self, settings: Any) -> None:
        """Sets up what an id has of its own, and calls `_set_up`."""
        raise NotImplementedError

    def _set_up(
        self, settings: EnvSettings, action_space: spaces.Space[Any], n_mask: int, simulator: Simulator, **blocks: Any
    ) -> None:
        """Sets up the rest; masks have length `n_mask`, observations the blocks that fields of `Layout` say."""
        self.settings = settings
        self.scenario = settings.played
        self.split = settings.split
        self.render_mode = settings.render_mode
        self.render_size = settings.render_size
        self.simulator = simulator
        self.layout = Layout(len(self.scenario.cluster), fetches=self.scenario.transfers, **blocks)
        self.form = self.layout.bits(settings.observation) | self._FORM | REWARDS[settings.reward or "e2e"]
        self.action_space = action_space
        self.observation_space = self.layout.space(settings.observation)  # type: ignore[assignment]
        self._size = self.layout.size
        self._mask = np.ones(n_mask, np.int8)
        # Reward of a miss, or of a request second.
        self._per_cost = -1.0 if settings.reward == "slo" else -1.0 / self.scenario.reward_scale_s
        self._load_kernels()
        self._episode = -1
        self._running = False
        self._time = 0.0

    def _load_kernels(self) -> None:
        kernels = _compile.load(KERNELS[0])
        self._step_kernel, self._act_kernel, self._costs_kernel = kernels.step, kernels.act, kernels.all_costs
        self._finished_kernel = kernels.read_finished

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
        observation, (code, _, time, session) = self._act(LOOK)
        self._running = code in (ROUTE, EVICT)
        self._time = time
        if self.render_mode == "human":
            self.render()
        return observation, {"action_mask": self._mask.copy(), "dt": 0.0, "time": time, "session": session}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Does what `action` says, and lets time pass until the next decision.

        Raises:
            RuntimeError: Before `reset()` or after the end of the episode.
            ValueError: If `action` is not in the action space.
        """
        return self._outcome(*self._act(*self._command(action)))

    def _command(self, action: Any) -> tuple[int, int, int]:
        """Kind, choice and rule for the kernel `act`."""
        raise NotImplementedError

    def _act(self, kind: int, choice: int = 0, rule: int = ASK) -> tuple[Observation, Result]:
        """Acts and runs to the next decision, with its mask."""
        observation = np.empty(self._size, np.float32)
        return observation, self._act_kernel(self._address, kind, choice, rule, self.form, observation, self._mask)

    def call_kernel(
        self, kind: int, choice: int, rule: int, form: int, out: Observation, mask: NDArray[np.int8]
    ) -> Result:
        """One call of the kernel `act`."""
        result: Result = self._act_kernel(self._address, kind, choice, rule, form, out, mask)
        return result

    def _begin(self, seed: int | None, options: dict[str, Any] | None) -> np.random.SeedSequence:
        """Puts the simulator at the start of the next episode; returns the seeds of the rules' random choices."""
        for key in _check.mapping("options", {} if options is None else options):
            _check.choice("options key", key, SEED_OPTIONS)
        given = {key: _check.whole(key, value, 0) for key, value in (options or {}).items()}
        prefetched, self._prefetched = self._prefetched, None
        super().reset(seed=seed)
        self._episode = 0 if seed is not None else self._episode + 1
        self.n_invalid = 0
        self._mask[:] = 1
        if prefetched is not None and seed is None and not given:
            self.simulator, policy_seed = prefetched.result()
        else:
            seeds = [given.get(key, self.np_random_seed) for key in SEED_OPTIONS]
            policy_seed = self._start(self.simulator, self._episode, seeds)
        assert self.simulator.workload is not None
        self.workload = self.simulator.workload
        self._address = self.simulator.address
        return policy_seed

    def _start(self, simulator: Simulator, episode: int, seeds: Sequence[int]) -> np.random.SeedSequence:
        """Resets `simulator` to the start of an episode, and changes nothing else; `seeds` as in `SEED_OPTIONS`."""
        scenario = self.scenario
        workload_seed = scenario.seeds(seeds[0], self.split, episode)[0]
        policy_seed = scenario.seeds(seeds[1], self.split, episode)[1]
        requests = scenario.episode_requests
        if episode == 0:
            requests = max(1, round(self.first_share * requests))
        workload = scenario.workload(workload_seed, self.split)
        simulator.reset(
            workload,
            policy_seed,
            warmup=scenario.warmup_requests,
            warmup_router=scenario.warmup_router,
            warmup_evictor=self._warmup_evictor,
            limit=scenario.warmup_requests + requests,
            truncate=self.settings.horizon == "truncate",
            hints=scenario.hints(workload, workload_seed),
            classes=scenario.service_classes,
            faults=scenario.fault_schedule(workload_seed),
        )
        return policy_seed

    def prefetch(self, executor: Executor) -> None:
        """Has the next episode made up to its first decision while this one is played; a seed throws it away."""
        seed = self.np_random_seed
        self._prefetched = executor.submit(self._next_episode, self.simulator.blank(), self._episode + 1, (seed, seed))

    def _next_episode(
        self, simulator: Simulator, episode: int, seeds: tuple[int, int]
    ) -> tuple[Simulator, np.random.SeedSequence]:
        policy_seed = self._start(simulator, episode, seeds)
        scratch = np.empty(self._size, np.float32), np.empty(self._mask.size, np.int8)
        self._act_kernel(simulator.address, LOOK, 0, ASK, self.form, *scratch)
        return simulator, policy_seed

    def _check_action(self, action: Any, n: int, what: str) -> int:
        """The action as an int; raises as `step` says."""
        if not self._running:
            raise RuntimeError("call reset() before step(): no episode is in progress")
        return _check.index("action", action, n, what)

    def _legal(self, choice: int, n: int | None = None) -> int:
        """The choice, or what it stands for, which is counted; only the first n places of the mask are about it."""
        if self._mask[choice]:
            return choice
        self.n_invalid += 1
        return legal_instead(choice, self._mask[:n])

    def _outcome(
        self, observation: Observation, result: Result
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """The result of `step`, made from that of a kernel."""
        code, cost, time, session = result
        info = {"action_mask": self._mask.copy(), "dt": time - self._time, "time": time, "session": session}
        self._time = time
        if self.render_mode == "human":
            self.render()
        reward = cost * self._per_cost
        if code in (ROUTE, EVICT):
            return observation, reward, False, False, info
        self._running = False
        info["episode_metrics"] = self.episode_metrics()
        return observation, reward, code != TRUNCATED, code == TRUNCATED, info

    def count_misses(self) -> None:
        """From the next `reset()` on, misses are counted whatever the reward pays; see `costs`."""
        self.form |= COUNTS_MISSES

    def costs(self) -> NDArray[np.float64]:
        """All costs of the last step: float64 with the entries of `kernels.codes.Costs`."""
        out = np.empty(len(COST))
        self._costs_kernel(self._address, out)
        return out

    def action_masks(self) -> NDArray[np.bool_]:
        """Legal actions, now: bool (n,). The name is that of sb3-contrib's maskable algorithms."""
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
        begin = -1 if first is None else _check.whole("first", first, 0)
        rows = np.empty((_MOST_FINISHED, len(FINISHED_COLUMNS)))
        n = self._finished_kernel(self._address, begin, rows)
        if n > len(rows):
            rows = np.empty((n, len(FINISHED_COLUMNS)))
            self._finished_kernel(self._address, begin, rows)
        return rows[:n]

    def n_finished(self) -> int:
        """Requests that have finished in this episode, those of the warm-up included."""
        return int(self.simulator.tables["clock"]["n_finished"][0]) if self.simulator.tables else 0

    def n_arrived(self) -> int:
        """Requests that have arrived in this episode, those of the warm-up included."""
        return int(self.simulator.tables["clock"]["n_arrived"][0])

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
            the environment lives; for "human" nothing, the window shows the picture; without a mode nothing.

        Raises:
            RuntimeError: Before `reset()`.
            gymnasium.error.DependencyNotInstalled: If a picture is wanted and pygame is not there.
        """
        if self.render_mode is None:
            gym.logger.warn(
                'render() without a render mode: make the environment with render_mode="human", "rgb_array" or "ansi"'
            )
            return None
        if self.render_mode == "ansi":
            return render_text(read_scene(self.simulator))
        if self._painter is None:
            self._painter = Painter(self.render_size, self.metadata["render_fps"])
        name = type(self).__name__.removesuffix("Env")
        picture = self._painter.draw(
            self.simulator, f"KVGym/{name}-v0, {self.scenario.name}", getattr(self, "rules", ())
        )
        if self.render_mode == "rgb_array":
            return picture
        self._painter.show(picture)
        return None

    def close(self) -> None:
        """Closes the window of render_mode "human"."""
        if self._painter is not None:
            self._painter.close()
            self._painter = None

    # Compiled code and addresses are found anew: a pickled environment goes on where it was.

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in (*self._COMPILED, "_prefetched", "_painter")}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__dict__.update(saved)
        self._load_kernels()
        if self.simulator.tables:
            self._address = self.simulator.address


def legal_instead(choice: int, mask: NDArray[Any]) -> int:
    """The action that an illegal one stands for: legal[choice mod number of legal ones]."""
    legal = np.flatnonzero(mask)
    return int(legal[choice % len(legal)])
