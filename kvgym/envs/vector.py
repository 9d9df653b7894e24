"""The native vector form: many environments, stepped by one compiled call on one thread or several.

Sub-environment i of a batch, reset with seed s, is bit for bit the single environment reset with seed s + i.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from kvgym import _check, _compile
from kvgym.envs.ahead import Ahead
from kvgym.envs.base import ClusterEnv, Observation, legal_instead
from kvgym.envs.infos import gather
from kvgym.envs.kernels.codes import SKIP
from kvgym.envs.threads import Threads
from kvgym.sim.base.codes import EVICT, ROUTE, TRUNCATED
from kvgym.sim.evictors import ASK

Single = TypeVar("Single", bound=ClusterEnv)
Seeds = int | Sequence[int | None] | None
_NOBODY = np.zeros(0, np.int64)
Steps = tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


def check_autoreset(mode: AutoresetMode | str) -> AutoresetMode:
    """The mode that is given as such, or by its value.

    Raises:
        ValueError: If there is no such mode.
    """
    modes = {one.value: one for one in AutoresetMode}
    return modes[_check.choice("autoreset_mode", mode.value if isinstance(mode, AutoresetMode) else mode, modes)]


class ClusterVectorEnv(VectorEnv[Observation, NDArray[np.int64], NDArray[Any]], Generic[Single]):
    """Base of the vector environments; `env_class` is the single one.

    Args:
        num_envs: How many.
        autoreset_mode: An `AutoresetMode` or its value: "NextStep", "SameStep", "Disabled"; semantics are Gymnasium's.
        num_threads: Threads that step the environments; the results don't depend on it.
        stagger: Sub-environment i plays (i + 1) / num_envs of its first episode only, so that a batch is not in phase.
        **settings: Arguments of the single environment.

    Attributes:
        envs: The single environments. Step the batch, not them.
        arrivals: Requests that arrived in the last step of each environment: int64 (num_envs,). What a learner who
            discounts by request wants to know; in steps that end an episode and reset, those of the ended one.
        ended: Whether the last step of each environment ended an episode: bool (num_envs,).

    Raises:
        ValueError: If an argument is not allowed.
    """

    env_class: type[Single]
    _first_slot = 0
    """Where candidate slots begin in a mask."""
    _PAYS: ClassVar[bool] = False
    """Whether the kernel counts costs from step to step, as the single environment has it."""

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        num_threads: int = 1,
        stagger: bool = False,
        **settings: Any,
    ) -> None:
        """Makes the environments."""
        self.num_envs = _check.whole("num_envs", num_envs, 1)
        self.autoreset_mode = check_autoreset(autoreset_mode)
        self.num_threads = min(_check.whole("num_threads", num_threads, 1), self.num_envs)
        single = self.env_class(**settings)
        settings |= {"scenario": single.scenario, "scenario_overrides": None}  # found once, for all
        self.envs: list[Single] = [single, *(self.env_class(**settings) for _ in range(self.num_envs - 1))]
        if _check.flag("stagger", stagger):
            for i, env in enumerate(self.envs):
                env._first_share = (i + 1) / self.num_envs
        self.render_mode = single.render_mode
        self.metadata = {**single.metadata, "autoreset_mode": self.autoreset_mode}
        self.layout = single.layout
        self.single_observation_space = single.observation_space
        self.single_action_space = single.action_space
        self.observation_space = batch_space(single.observation_space, self.num_envs)
        self.action_space = batch_space(single.action_space, self.num_envs)
        space: Any = single.action_space
        self._n_actions = np.array(space.nvec if hasattr(space, "nvec") else space.n, np.uint64)
        self._act_many = _compile.load("kvgym.envs.kernels.entry").act_many
        self._ahead = None if self.autoreset_mode == AutoresetMode.DISABLED else Ahead(self.envs)
        self._threads = Threads(self.num_envs, self.num_threads)
        n = self.num_envs
        self._handles = np.zeros(n, np.int64)
        self._whole = np.zeros((3, n), np.int64)  # code, session, and requests arrived so far
        self._paid = np.zeros((2, n))  # cost that rewards have paid so far, and time
        self._masks = np.ones((n, len(single._mask)), np.int8)
        self.arrivals, self.ended = np.zeros(n, np.int64), np.zeros(n, bool)
        self._done = np.ones(n, bool)
        self._yes = np.ones(n, bool)
        self._begun = False
        self._observation = np.zeros((n, single._size), np.float32)

    # What kinds of environments differ in.

    def _plan(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        """(num_envs, 3) kind, choice and rule for the kernel; counts actions that are not legal."""
        raise NotImplementedError

    def _empty_plan(self, kind: int) -> NDArray[np.int64]:
        plan = np.full((self.num_envs, 3), ASK, np.int64)
        plan[:, 0] = kind
        return plan

    def _legal(self, actions: NDArray[np.int64], n: int | None = None) -> NDArray[np.int64]:
        """The actions, an illegal one replaced by legal[a mod number of legal ones] and counted; see `_legal` there."""
        allowed = self._masks[np.arange(self.num_envs), actions]
        for i in np.flatnonzero((allowed == 0) & ~self._done).tolist():
            self.envs[i].n_invalid += 1
            actions[i] = legal_instead(actions[i], self._masks[i, :n])
        return actions

    def _close_masks(self, masks: NDArray[np.int8], codes: NDArray[np.int64]) -> None:
        """Completes the masks, in which the kernel has written the candidate slots."""

    def reset(self, *, seed: Seeds = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Starts the next episode of all environments, or of those in `options["reset_mask"]`.

        Args:
            seed: None, an integer s (sub-environment i gets s + i), or one integer or None for each.
            options: May hold `reset_mask`, bool (num_envs,), beside the options of the single environment.

        Raises:
            ValueError: If an argument is not as described.
        """
        seeds = self._seeds(seed)
        if isinstance(seed, int):
            super().reset(seed=seed)
        options = {} if options is None else dict(_check.mapping("options", options))
        chosen = self._reset_mask(options.pop("reset_mask", None))
        observation = self._observation.copy()
        dt = np.zeros(self.num_envs)
        for i in np.flatnonzero(chosen):
            observation[i] = self._reset_one(int(i), seeds[i], options)
        self._begun = True
        self._observation = observation
        infos = self._infos(dt)
        for key in ("_action_mask", "_dt", "_time", "_session"):
            infos[key] = chosen.copy()
        return observation.copy(), infos

    def _seeds(self, seed: Seeds) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)):
            return [int(seed) + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"seed must be an integer or {self.num_envs} of them, got {len(seed)}")
        return list(seed)

    def _reset_mask(self, mask: Any) -> NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, bool)
        if not (isinstance(mask, np.ndarray) and mask.shape == (self.num_envs,) and mask.dtype == bool and mask.any()):
            raise ValueError(
                f"reset_mask must be a bool array of shape ({self.num_envs},) with a True in it, got {mask!r}"
            )
        if not self._begun and not mask.all():
            raise ValueError("the first reset must be of all environments: no reset_mask then, or one that is all True")
        return mask

    def _reset_one(self, i: int, seed: int | None, options: dict[str, Any] | None) -> Observation:
        """Resets sub-environment i; returns its observation."""
        env = self.envs[i]
        observation, info = env.reset(seed=seed, options=options)
        self._handles[i] = env._address
        self._masks[i] = info["action_mask"]
        self._whole[1, i] = info["session"]
        self._whole[2, i] = env.simulator.tables["clock"]["n_arrived"][0]
        self._paid[:, i] = 0.0, info["time"]
        self._done[i] = False
        if self._ahead is not None:
            self._ahead.begun(i)
        return observation

    def step(self, actions: NDArray[np.int64]) -> Steps:
        """Steps all environments; those that have ended are reset as `autoreset_mode` says.

        Raises:
            RuntimeError: Before `reset()`; in mode "Disabled" if an environment has ended and was not reset.
            ValueError: If an action is not in the action space.
        """
        if not self._begun:
            raise RuntimeError("call reset() before step(): no episode is in progress")
        resetting = np.flatnonzero(self._done) if self._done.any() else _NOBODY
        if len(resetting) and self.autoreset_mode == AutoresetMode.DISABLED:
            raise RuntimeError(
                f"environments {resetting.tolist()} have ended: reset them with options={{'reset_mask': ..}}"
            )
        plan = self._plan(self._check_actions(actions))
        if len(resetting):
            plan[resetting, 0] = SKIP
        n = self.num_envs
        observation = np.empty((n, self.layout.size), np.float32)
        self._masks = np.ones_like(self._masks)
        real = np.zeros((2, n))  # reward and dt
        before = self._whole[2].copy()
        n_ended = self._run(plan, observation, real)
        self.arrivals = self._whole[2] - before
        codes = self._whole[0]
        self._close_masks(self._masks, codes)
        for i in resetting.tolist():
            observation[i] = self._reset_one(i, None, None)
        terminated, truncated = np.zeros(n, bool), np.zeros(n, bool)
        self.ended = terminated
        extra: dict[str, Any] = {}
        if n_ended:
            ended = (codes != ROUTE) & (codes != EVICT) & (plan[:, 0] != SKIP)
            truncated = ended & (codes == TRUNCATED)
            terminated = ended & ~truncated
            self.ended = ended
            extra = self._end(np.flatnonzero(ended), observation, real[1])
        if self.autoreset_mode == AutoresetMode.DISABLED:
            self._observation = observation.copy()  # what a partial reset shows of the others
        return observation, real[0], terminated, truncated, self._infos(real[1]) | extra

    def _check_actions(self, actions: Any) -> NDArray[np.int64]:
        array = np.asarray(actions)
        fits = array.shape == self.action_space.shape and array.dtype.kind in "iu"
        if fits:
            array = array.astype(np.int64)
            fits = bool((array.view(np.uint64) < self._n_actions).all())  # a negative one is very large
        if not fits:
            raise ValueError(f"actions must be integers in {self.action_space}, got {actions!r}")
        return array

    def _run(self, plan: NDArray[np.int64], observation: Observation, real: NDArray[np.float64]) -> int:
        """The kernel's part of a step, on as many threads as there are. Returns how many episodes have ended."""
        single = self.envs[0]
        settings = self._PAYS, single._pays_ttft, single._per_cost, single._form
        rest: tuple[Any, ...] = (*settings, observation, self._masks, self._first_slot, self._whole, real, self._paid)
        return self._threads.play(lambda first, end: int(self._act_many(first, end, self._handles, plan, *rest)))

    def _end(self, ended: NDArray[np.int64], observation: Observation, dt: NDArray[np.float64]) -> dict[str, Any]:
        """What there is to say of episodes that have just ended; resets them in mode "SameStep"."""
        infos: list[dict[str, Any]] = []
        for i in ended.tolist():
            metrics = self.envs[i].episode_metrics()
            self._done[i] = True
            if self.autoreset_mode != AutoresetMode.SAME_STEP:
                infos.append({"episode_metrics": metrics})
                continue
            final = {
                "action_mask": self._masks[i].copy(),
                "dt": float(dt[i]),
                "time": float(self._paid[1, i]),
                "session": int(self._whole[1, i]),
                "episode_metrics": metrics,
            }
            infos.append({"final_obs": observation[i].copy(), "final_info": final})
            observation[i] = self._reset_one(i, None, None)
            dt[i] = 0.0
        return gather(self.num_envs, ended.tolist(), infos)

    def _infos(self, dt: NDArray[np.float64]) -> dict[str, Any]:
        """The four keys that every environment has at every step."""
        yes = self._yes
        return {
            "action_mask": self._masks.copy(),
            "_action_mask": yes.copy(),
            "dt": dt,
            "_dt": yes.copy(),
            "time": self._paid[1].copy(),
            "_time": yes.copy(),
            "session": self._whole[1].copy(),
            "_session": yes.copy(),
        }

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are legal now: bool (num_envs, n)."""
        return self._masks.astype(bool)

    def finished(self) -> NDArray[np.float64]:
        """Requests that finished since the last decision: (n, 9): sub-environment, then as `ClusterEnv.finished`."""
        parts = [env.finished() for env in self.envs]
        numbers = np.repeat(np.arange(self.num_envs), [len(part) for part in parts])
        return np.column_stack([numbers, np.concatenate(parts)])

    def render(self) -> tuple[Any, ...]:
        """What each environment renders."""
        return tuple(env.render() for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        """Ends the threads."""
        self._threads.close()
        if self._ahead is not None:
            self._ahead.close()
