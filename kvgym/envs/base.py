"""The base of all environments: episodes, seeds, steps and rewards."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from kvgym import _check, _compile
from kvgym.envs.kernels.codes import LOOK
from kvgym.envs.layout import Layout
from kvgym.envs.pulled import Pulled
from kvgym.envs.settings import DEFAULT_SCENARIO, RENDER_MODES, EnvSettings
from kvgym.scenarios import ScenarioLike
from kvgym.sim import Simulator
from kvgym.sim.base.codes import EVICT, ROUTE, TRUNCATED
from kvgym.sim.evictors import ASK
from kvgym.workload import Workload

SEED_OPTIONS = ("workload_seed", "policy_seed")

Observation = NDArray[np.float32]
Result = tuple[int, float, float, float, int]
"""Of a kernel: code of `rules`, costs e2e and ttft of the step (request seconds), time (s), session."""


class ClusterEnv(Pulled, gym.Env[Observation, Any]):
    """Base of the environments: settings, their simulator, and episodes of the scenario.

    Attributes:
        settings_class: The arguments that the environment takes.
        settings: Those that it was given.
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
    _COMPILED: ClassVar[tuple[str, ...]] = ("_step_kernel", "_act_kernel", "_address")
    workload: Workload
    n_invalid: int = 0
    first_share: float = 1.0
    _warmup_evictor: str | None = None
    """The evictor of warm-up requests where the agent is the evictor; None: the agent."""
    _prefetched: Future[tuple[Simulator, np.random.SeedSequence]] | None = None

    def __init__(self, scenario: ScenarioLike = DEFAULT_SCENARIO, **arguments: Any) -> None:
        """Makes the environment; see the class for the arguments.

        Raises:
            TypeError: If an argument is not known.
            ValueError: If one is not allowed.
        """
        self._open(self.settings_class.of(type(self).__name__, scenario, arguments))

    def _open(self, settings: Any) -> None:
        """Sets up what a kind of environment has of its own; it calls `_set_up`."""
        raise NotImplementedError

    def _set_up(
        self, settings: EnvSettings, action_space: spaces.Space[Any], n_mask: int, simulator: Simulator, **blocks: Any
    ) -> None:
        """Sets up the rest.

        Args:
            settings: The settings.
            action_space: The space of actions.
            n_mask: Length of a mask.
            simulator: The simulator.
            **blocks: Fields of `Layout` that say which blocks an observation has.
        """
        self.settings = settings
        self.scenario = settings.played
        self.split = settings.split
        self.render_mode = settings.render_mode
        self.render_size = settings.render_size
        self.simulator = simulator
        self.layout = Layout(len(self.scenario.cluster), fetches=self.scenario.transfers, **blocks)
        self.form = self.layout.bits(settings.observation) | self._FORM
        self.action_space = action_space
        self.observation_space = self.layout.space(settings.observation)  # type: ignore[assignment]
        self._size = self.layout.size
        self._mask = np.ones(n_mask, np.int8)
        self._is_ttft, self._per_cost = settings.is_ttft, settings.per_cost
        self._load_kernels()
        self._episode = -1
        self._running = False
        self._time = 0.0

    def _load_kernels(self) -> None:
        kernels = _compile.load("kvgym.envs.kernels.entry")
        self._step_kernel, self._act_kernel = kernels.step, kernels.act

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
        observation, (code, _, _, time, session) = self._act(LOOK)
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
            slo_ttft_s=scenario.slo_ttft_s,
            slo_tpot_s=scenario.slo_tpot_s,
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
        """The choice; an illegal one is counted and stands for legal[choice mod number of legal ones].

        Args:
            choice: An action.
            n: Only the first n places of the mask are about it; None: all.
        """
        if self._mask[choice]:
            return choice
        self.n_invalid += 1
        return legal_instead(choice, self._mask[:n])

    def _outcome(
        self, observation: Observation, result: Result
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """The result of `step`, made from that of a kernel."""
        code, e2e, ttft, time, session = result
        info = {"action_mask": self._mask.copy(), "dt": time - self._time, "time": time, "session": session}
        self._time = time
        if self.render_mode == "human":
            self.render()
        reward = (ttft if self._is_ttft else e2e) * self._per_cost
        if code in (ROUTE, EVICT):
            return observation, reward, False, False, info
        self._running = False
        info["episode_metrics"] = self.episode_metrics()
        return observation, reward, code != TRUNCATED, code == TRUNCATED, info

    def __getstate__(self) -> dict[str, Any]:
        """Everything but compiled code and addresses: a pickled environment goes on where it was."""
        return {k: v for k, v in self.__dict__.items() if k not in (*self._COMPILED, "_prefetched", "_painter")}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        """Loads the kernels again and points them at the tables."""
        self.__dict__.update(saved)
        self._load_kernels()
        if self.simulator.tables:
            self._address = self.simulator.address


def legal_instead(choice: int, mask: NDArray[Any]) -> int:
    """The action that an illegal one stands for: legal[choice mod number of legal ones]."""
    legal = np.flatnonzero(mask)
    return int(legal[choice % len(legal)])
