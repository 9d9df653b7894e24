"""KVGym/Route-v0: which worker serves each request?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from kvgym import _check
from kvgym.envs.base import ClusterEnv, Observation
from kvgym.envs.kernels.codes import COSTS_ANEW, REFUSE, SEND
from kvgym.envs.settings import EnvSettings
from kvgym.envs.vector import ClusterVectorEnv
from kvgym.sim import EVICTORS
from kvgym.sim.evictors import ASK


@dataclass(frozen=True)
class RouteSettings(EnvSettings):
    """Arguments of `RouteEnv`.

    Attributes:
        evictor: One of `kvgym.sim.EVICTORS`; None: the scenario's.
        admission: Whether the agent may refuse requests.
    """

    evictor: str | None = None
    admission: bool = False

    def __post_init__(self) -> None:
        """Checks the arguments."""
        super().__post_init__()
        if self.evictor is not None:
            _check.choice("evictor", self.evictor, EVICTORS)
        _check.flag("admission", self.admission)


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

    With `admission=True` it is `Discrete(M + 1)`: action M refuses the request, which leaves at once and never comes
    back. That is always allowed.

    ## Observation Space
    `Box(float32)`: a request block, then a block per worker; where pages may be fetched from other workers
    (`transfer="auto"`) another one per worker; see `kvgym.envs.features` for the table and `layout` for the places.
    `observation="scaled"` (default) is for networks, `"physical"` has the same features in their units.

    ## Rewards
    Minus the time integral, over the step, of the number of counted requests in the system (`reward="e2e"`) or of those
    without a first token (`"ttft"`), over the scenario's `reward_scale_s`. The sum of an episode's rewards times
    `reward_scale_s` over the number of counted requests is minus their mean latency. A refusal adds what one of its
    class costs in the scenario (`refusal_cost_s`), in request seconds, to the integral of the step that it begins.
    `reward="slo"`: minus the number of counted requests that miss a target of their service class in the step, each
    once: when the time for its first token is over, when it finishes with its tokens too slow, or when it is refused.

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
    | `reward` | the scenario's objective | "e2e", "ttft" or "slo" |
    | `evictor` | the scenario's | one of `kvgym.sim.EVICTORS` |
    | `admission` | False | True: there is one more action, which refuses the request |
    | `horizon` | "drain" | "drain" or "truncate" |
    | `split` | "train" | "train", "validation" or "test": workloads of different splits never share a random stream |
    | `render_mode` | none | "human" (a window), "rgb_array" (a picture) or "ansi" (text) |
    | `render_size` | what the workers need | width and height of the picture in pixels |

    ## Info
    `action_mask`, `dt` (s since the last decision), `time` (s), `session` (of the request, -1 at the end); at the end
    also `episode_metrics`. Pulled when wanted: `finished()`, `prompt_pages()`.

    `reset(options=...)` takes `workload_seed` and `policy_seed`, integers that replace the seed of the workload's, or
    of the rules' random choices.

    ## Version History
    * v0: first version.
    """

    settings_class = RouteSettings
    settings: RouteSettings
    _FORM = COSTS_ANEW

    def _open(self, settings: RouteSettings) -> None:
        n = len(settings.played.cluster) + settings.admission
        self._set_up(settings, spaces.Discrete(n), n, settings.played.simulator(settings.evictor))
        self._has_more = self.scenario.fails or settings.admission  # than workers of which each may be chosen

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Sends the request to worker `action` and lets time pass until the next one; see `ClusterEnv.step`."""
        if self._has_more:
            return super().step(action)
        worker = self._check_action(action, self.layout.n_workers, "a worker")
        observation = np.empty(self._size, np.float32)
        return self._outcome(observation, self._step_kernel(self._address, worker, self.form, observation))

    def _command(self, action: Any) -> tuple[int, int, int]:
        n = self.layout.n_workers
        what = f"a worker, or {n} to refuse," if self.settings.admission else "a worker"
        choice = self._legal(self._check_action(action, len(self._mask), what))
        return SEND if choice < n else REFUSE, choice, ASK


class RouteVectorEnv(ClusterVectorEnv[RouteEnv]):
    """KVGym/Route-v0, many at a time; for the arguments see `ClusterVectorEnv` and `RouteEnv`."""

    env_class = RouteEnv

    def _commands(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        plan = self._all(SEND, self._legal(actions) if self._fails else actions)
        if self.envs[0].settings.admission:
            plan[plan[:, 1] == self.layout.n_workers, 0] = REFUSE
        return plan
