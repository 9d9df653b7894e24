"""The questions that an environment answers between two steps, for those who ask."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from kvgym import _check
from kvgym.envs.metrics import episode_metrics
from kvgym.envs.picture import Painter
from kvgym.envs.scene import read_scene, render_text
from kvgym.scenarios import Scenario
from kvgym.sim import Simulator

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


class Pulled:
    """The questions of `ClusterEnv`; nothing here changes it.

    Attributes:
        scenario: The scenario that is played.
        simulator: Its simulator.
    """

    scenario: Scenario
    simulator: Simulator
    render_mode: str | None
    render_size: tuple[int, int] | None
    metadata: dict[str, Any]
    _mask: NDArray[np.int8]
    _painter: Painter | None = None

    def costs(self) -> tuple[float, float]:
        """Costs of the last step, as the rewards "e2e" and "ttft" have them (request seconds)."""
        clock = self.simulator.tables["clock"][0]
        e2e = float(clock["cost_e2e_ps"]) * 1e-12 - float(clock["paid_e2e_s"])
        return e2e, float(clock["cost_ttft_ps"]) * 1e-12 - float(clock["paid_ttft_s"])

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
        if first is None:
            return finished_since(self.simulator, int(self.simulator.tables["clock"]["n_reported"][0]))
        return finished_since(self.simulator, _check.whole("first", first, 0))

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
