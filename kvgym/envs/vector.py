"""Many environments: the native vector form, stepped by one compiled call on one thread or several, and `make_vec`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Generic, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from kvgym import _check, _compile
from kvgym.envs.base import ClusterEnv, Observation, legal_instead
from kvgym.envs.kernels.codes import COST, SKIP
from kvgym.envs.picture import Painter, grid
from kvgym.scenarios import check_training_split
from kvgym.sim.base.codes import EVICT, ROUTE, TRUNCATED
from kvgym.sim.evictors import ASK

Single = TypeVar("Single", bound=ClusterEnv)
Seeds = int | Sequence[int | None] | None
Steps = tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]

MODES = ("native", "sync", "async")
_SHARE = 64
"""Environments that a thread plays at a time, where there are many: handing a share on takes the time of a few."""
_SHARES_EACH = 4
_MOST_READY = 64
"""Episodes that are kept ready: more would only cost memory."""


def make_vec(
    id: str,
    num_envs: int = 1,
    *,
    mode: str = "native",
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    num_threads: int = 1,
    stagger: bool = False,
    **settings: Any,
) -> VectorEnv[Any, Any, Any]:
    """Makes a vector environment; `gym.make_vec` wants `autoreset_mode` in another place for each mode.

    Args:
        id: An id of `envs_registry.ENVIRONMENTS`, with or without "kvgym:" before it.
        num_envs: How many.
        mode: "native" (`ClusterVectorEnv`, much the fastest), or Gymnasium's "sync" or "async".
        autoreset_mode: As in `ClusterVectorEnv`; so are the next two, of the native form.
        num_threads: Threads.
        stagger: Shorter first episodes.
        **settings: Arguments of the environment.

    Raises:
        ValueError: If an argument is not allowed.
    """
    autoreset = _autoreset(autoreset_mode)
    if _check.choice("mode", mode, MODES) == "native":
        native: dict[str, Any] = {"autoreset_mode": autoreset.value, "num_threads": num_threads, "stagger": stagger}
        return gym.make_vec(id, num_envs, vectorization_mode="vector_entry_point", **native, **settings)
    for name, given, default in (("num_threads", num_threads, 1), ("stagger", stagger, False)):
        if given != default:
            raise ValueError(f'{name} is for mode="native", got {given!r} with mode={mode!r}')
    vector_kwargs: dict[str, Any] = {"autoreset_mode": autoreset}
    return gym.make_vec(id, num_envs, vectorization_mode=mode, vector_kwargs=vector_kwargs, **settings)


def _autoreset(mode: AutoresetMode | str) -> AutoresetMode:
    modes = {one.value: one for one in AutoresetMode}
    return modes[_check.choice("autoreset_mode", mode.value if isinstance(mode, AutoresetMode) else mode, modes)]


class ClusterVectorEnv(VectorEnv[Observation, NDArray[np.int64], NDArray[Any]], Generic[Single]):
    """Base of the vector environments; `env_class` is the single one.

    Sub-environment i of a batch, reset with seed s, is bit for bit the single environment reset with seed s + i.

    Args:
        num_envs: How many.
        autoreset_mode: An `AutoresetMode` or its value: "NextStep", "SameStep", "Disabled"; semantics are Gymnasium's.
        num_threads: Threads that step the environments; the results don't depend on it.
        stagger: Sub-environment i plays (i + 1) / num_envs of its first episode only, so that a batch is not in phase.
        variants: Arguments of each sub-environment that go before `settings`, such as another scenario; what they
            observe, may do and are paid for has to be the same. None: all are alike.
        **settings: Arguments of the single environment.

    Attributes:
        envs: The single environments. Step the batch, not them.
        stagger: Whether first episodes are shorter.
        arrivals: Requests that arrived in the last step of each environment: int64 (num_envs,). For learners that
            discount by request; in steps that end an episode and reset, those of the ended one.
        ended: Whether the last step of each environment ended an episode: bool (num_envs,).
        costs: All costs of the last step of each environment, see `ClusterEnv.costs`, after `count_costs()`; before it
            without a row.

    Raises:
        ValueError: If an argument is not allowed.
    """

    env_class: type[Single]

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        num_threads: int = 1,
        stagger: bool = False,
        variants: Sequence[Mapping[str, Any]] | None = None,
        **settings: Any,
    ) -> None:
        self.num_envs = _check.whole("num_envs", num_envs, 1)
        self.autoreset_mode = _autoreset(autoreset_mode)
        self.num_threads = min(_check.whole("num_threads", num_threads, 1), self.num_envs)
        if variants is not None and len(variants) != self.num_envs:
            raise ValueError(f"variants must be {self.num_envs} mappings, one per environment, got {len(variants)}")
        single = self.env_class(**{**settings, **(variants[0] if variants else {})})
        found = vars(single.settings)  # with the scenario, which is looked up once for all
        self.render_mode = single.render_mode
        if self.render_mode == "human":  # one window shows them all
            single.render_mode = "rgb_array"
            found = {**found, "render_mode": "rgb_array"}
        if variants is None:
            others = [self.env_class(**found) for _ in range(self.num_envs - 1)]
        else:
            others = [self.env_class(**{**settings, **given}) for given in variants[1:]]
        self.envs: list[Single] = [single, *others]
        if variants is not None:
            _check_alike(self.envs)
        self.stagger = _check.flag("stagger", stagger)
        if self.stagger:
            check_training_split("stagger=True", single.split)
        for i, env in enumerate(self.envs):
            env.first_share = (i + 1) / self.num_envs if self.stagger else 1.0
        self._painter = Painter(None, single.metadata["render_fps"])
        self.metadata = {**single.metadata, "autoreset_mode": self.autoreset_mode}
        self.layout = single.layout
        self.single_observation_space = single.observation_space
        self.single_action_space = single.action_space
        self.observation_space = batch_space(single.observation_space, self.num_envs)
        self.action_space = batch_space(single.action_space, self.num_envs)
        space: Any = single.action_space
        self._n_actions = np.array(space.nvec if hasattr(space, "nvec") else space.n, np.uint64)
        self._act_many = _compile.load("kvgym.envs.kernels.entry").act_many
        self._prefetcher = None if self.autoreset_mode == AutoresetMode.DISABLED else Prefetcher(self.envs)
        self._threads = Threads(self.num_envs, self.num_threads)
        self._fails = any(env.scenario.fails for env in self.envs)
        self._per_cost = np.array([env._per_cost for env in self.envs])
        self.costs = np.zeros((0, len(COST)))
        # The numbers of the evictors that actions of the rule forms name.
        self._rule_numbers = np.array(getattr(single.settings, "rule_numbers", ()), np.int64)
        n = self.num_envs
        self._handles = np.zeros(n, np.int64)
        self._whole = np.zeros((3, n), np.int64)  # code, session, and requests arrived so far
        self._times = np.zeros(n)
        self._rows = np.arange(n)
        self._all_legal = np.ones((n, len(single.action_masks())), np.int8)
        self._masks = self._all_legal.copy()
        self.arrivals, self.ended = np.zeros(n, np.int64), np.zeros(n, bool)
        self._done = np.ones(n, bool)
        self._yes = np.ones(n, bool)
        self._begun = False
        self._observation = np.zeros((n, single.layout.size), np.float32)

    def _commands(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        """(num_envs, 3) kind, choice and rule for the kernel; counts actions that are not legal."""
        raise NotImplementedError

    def count_costs(self) -> None:
        """From the next `reset()` on, `costs` are written."""
        self.costs = np.zeros((self.num_envs, len(COST)))
        for env in self.envs:
            env.count_misses()

    def _all(self, kind: int, choices: NDArray[np.int64], rules: Any = ASK) -> NDArray[np.int64]:
        """Commands of one kind."""
        plan = np.empty((self.num_envs, 3), np.int64)
        plan[:, 0], plan[:, 1], plan[:, 2] = kind, choices, rules
        return plan

    def _legal(self, actions: NDArray[np.int64], n: int | None = None) -> NDArray[np.int64]:
        """The actions, an illegal one replaced by legal[a mod number of legal ones] and counted; see `ClusterEnv`."""
        forbidden = self._masks[self._rows, actions] == 0
        if not forbidden.any():
            return actions
        for i in np.flatnonzero(forbidden & ~self._done).tolist():
            self.envs[i].n_invalid += 1
            actions[i] = legal_instead(actions[i], self._masks[i, :n])
        return actions

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
        if self.render_mode == "human":
            self.render()
        return observation.copy(), self._infos(dt, chosen)

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
        env = self.envs[i]
        observation, info = env.reset(seed=seed, options=options)
        self._handles[i] = env.simulator.address
        self._masks[i] = info["action_mask"]
        self._whole[1, i] = info["session"]
        self._whole[2, i] = env.n_arrived()
        self._times[i] = info["time"]
        self._done[i] = False
        if self._prefetcher is not None:
            self._prefetcher.begun(i)
        return observation

    def step(self, actions: NDArray[np.int64]) -> Steps:
        """Steps all environments; those that have ended are reset as `autoreset_mode` says.

        Raises:
            RuntimeError: Before `reset()`; in mode "Disabled" if an environment has ended and was not reset.
            ValueError: If an action is not in the action space.
        """
        if not self._begun:
            raise RuntimeError("call reset() before step(): no episode is in progress")
        (resetting,) = self._done.nonzero()
        if len(resetting) and self.autoreset_mode == AutoresetMode.DISABLED:
            raise RuntimeError(
                f"environments {resetting.tolist()} have ended: reset them with options={{'reset_mask': ..}}"
            )
        plan = self._commands(self.check_actions(actions))
        if len(resetting):
            plan[resetting, 0] = SKIP
        n = self.num_envs
        observation = np.empty((n, self.layout.size), np.float32)
        self._masks = self._all_legal.copy()  # all actions of one that is not played, and is reset
        real = np.zeros((2, n))  # reward and dt
        if len(self.costs):
            self.costs = np.zeros_like(self.costs)
        before = self._whole[2].copy()
        n_ended = self._run(plan, observation, real)
        self.arrivals = self._whole[2] - before
        codes = self._whole[0]
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
        if self.render_mode == "human":
            self.render()
        return observation, real[0], terminated, truncated, self._infos(real[1], self._yes) | extra

    def check_actions(self, actions: Any) -> NDArray[np.int64]:
        """The actions as a new array.

        Raises:
            ValueError: If they are not in the action space.
        """
        array = np.asarray(actions)
        fits = array.shape == self.action_space.shape and array.dtype.kind in "iu"
        if fits:
            array = array.astype(np.int64)
            fits = bool((array.view(np.uint64) < self._n_actions).all())  # a negative one is very large
        if not fits:
            raise ValueError(f"actions must be integers in {self.action_space}, got {actions!r}")
        return array

    def _run(self, plan: NDArray[np.int64], observation: Observation, real: NDArray[np.float64]) -> int:
        """The kernel's part of a step. Returns how many episodes have ended."""
        form = self.envs[0].form
        rest = (form, observation, self._masks, self._whole, real, self._times, self.costs)
        n_ended = self._threads.play(lambda first, end: int(self._act_many(first, end, self._handles, plan, *rest)))
        real[0] *= self._per_cost
        return n_ended

    def _end(self, ended: NDArray[np.int64], observation: Observation, dt: NDArray[np.float64]) -> dict[str, Any]:
        """Infos of episodes that have just ended; resets them in mode "SameStep"."""
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
                "time": float(self._times[i]),
                "session": int(self._whole[1, i]),
                "episode_metrics": metrics,
            }
            infos.append({"final_obs": observation[i].copy(), "final_info": final})
            observation[i] = self._reset_one(i, None, None)
            dt[i] = 0.0
        return gather(self.num_envs, ended.tolist(), infos)

    def _infos(self, dt: NDArray[np.float64], there: NDArray[np.bool_]) -> dict[str, Any]:
        """The four keys that environments have at every step, and of which they are there."""
        return {
            "action_mask": self._masks.copy(),
            "dt": dt,
            "time": self._times.copy(),
            "session": self._whole[1].copy(),
            "_action_mask": there.copy(),
            "_dt": there.copy(),
            "_time": there.copy(),
            "_session": there.copy(),
        }

    def action_masks(self) -> NDArray[np.bool_]:
        """Legal actions, now: bool (num_envs, n)."""
        return self._masks.astype(bool)

    def finished(self) -> NDArray[np.float64]:
        """Requests that finished since the last decision: (n, 9): sub-environment, then as `ClusterEnv.finished`."""
        parts = [env.finished() for env in self.envs]
        numbers = np.repeat(np.arange(self.num_envs), [len(part) for part in parts])
        return np.column_stack([numbers, np.concatenate(parts)])

    def render(self) -> tuple[Any, ...] | None:
        """The pictures or texts of all environments; in render_mode "human" a window shows them in a grid."""
        shown: tuple[Any, ...] = tuple(env.render() for env in self.envs)
        if self.render_mode != "human":
            return shown
        self._painter.show(grid(shown))
        return None

    def close_extras(self, **kwargs: Any) -> None:
        """Ends the threads, and closes the window."""
        self._painter.close()
        self._threads.close()
        if self._prefetcher is not None:
            self._prefetcher.close()


def _check_alike(envs: Sequence[ClusterEnv]) -> None:
    """Refuses environments that can't be one batch."""
    first = envs[0]
    for i, env in enumerate(envs):
        for what, one, other in (
            ("what they observe", first.layout, env.layout),
            ("the form of observations, or the reward", first.form, env.form),
            ("what they may do", first.action_space, env.action_space),
        ):
            if one != other:
                raise ValueError(f"variants must agree in {what}, got {other} for environment {i} and {one} for 0")


class Threads:
    """The calling thread and helpers; one that was held up, as by the making of coming episodes, plays fewer shares.

    Args:
        num_envs: Environments to play.
        num_threads: Threads in all.
    """

    def __init__(self, num_envs: int, num_threads: int) -> None:
        n_shares = 1 if num_threads == 1 else max(num_threads, min(_SHARES_EACH * num_threads, num_envs // _SHARE))
        self._shares = list(pairwise(np.linspace(0, num_envs, n_shares + 1).astype(int).tolist()))
        self._n_helpers = num_threads - 1
        self._pool = ThreadPoolExecutor(max(1, self._n_helpers), "kvgym-play")  # it starts threads as it needs them

    def play(self, act: Callable[[int, int], int]) -> int:
        """The sum of `act(first, end)` over shares that make up the batch."""
        if not self._n_helpers:
            return act(*self._shares[0])
        left = iter(self._shares)  # one for all: a list's gives each share to one thread

        def take() -> int:
            return sum(act(first, end) for first, end in left)

        helpers = [self._pool.submit(take) for _ in range(self._n_helpers)]
        return take() + sum(helper.result() for helper in helpers)

    def close(self) -> None:
        """Ends the helpers."""
        self._pool.shutdown()


class Prefetcher:
    """Makes the next episodes of environments; of those that began first, first.

    Args:
        envs: The environments of a batch.
    """

    def __init__(self, envs: Sequence[ClusterEnv]) -> None:
        self._envs = envs
        self._waiting: deque[int] = deque()
        self._ready: set[int] = set()
        self._executor = ThreadPoolExecutor(1, "kvgym-prefetch")

    def begun(self, i: int) -> None:
        """Environment i has begun an episode."""
        if i in self._ready:
            self._ready.discard(i)
        elif i in self._waiting:
            self._waiting.remove(i)
        self._waiting.append(i)
        while self._waiting and len(self._ready) < _MOST_READY:
            first = self._waiting.popleft()
            self._ready.add(first)
            self._envs[first].prefetch(self._executor)

    def close(self) -> None:
        """Ends the thread; what it has not begun is dropped."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def gather(n: int, places: Sequence[int], infos: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The infos of some environments as `VectorEnv._add_info` has them, without a search for each entry.

    Args:
        n: Number of environments.
        places: The environments that have an info.
        infos: Theirs: numbers, arrays of one shape per key, and dictionaries of these; `final_obs` stays an object.

    Returns:
        Per key an array with a row per environment, and as "_key" which rows are there.
    """
    gathered: dict[str, Any] = {}
    for key in dict.fromkeys(key for info in infos for key in info):
        having = [i for i, info in zip(places, infos, strict=True) if key in info]
        values = [info[key] for info in infos if key in info]
        there = np.zeros(n, bool)
        there[having] = True
        gathered[key] = gather(n, having, values) if isinstance(values[0], dict) else _column(n, key, having, values)
        gathered[f"_{key}"] = there
    return gathered


def _column(n: int, key: str, having: Sequence[int], values: Sequence[Any]) -> NDArray[Any]:
    if key == "final_obs":
        column = np.full(n, None, object)
        for i, value in zip(having, values, strict=True):
            column[i] = value
        return column
    rows = np.array(values)
    column = np.zeros((n, *rows.shape[1:]), rows.dtype)
    column[having] = rows
    return column
