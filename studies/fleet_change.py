"""How far off LBGR's estimate of a request's latency is before, while and after a worker changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate
from tqdm import tqdm

from agents.routing.lbgr import Lbgr
from kvgym.evaluation import play
from kvgym.evaluation.statistics import interval

Floats = NDArray[np.float64]

START_S, LENGTH_S = 60.0, 20.0
CHANGES: dict[str, dict[str, Any]] = {
    "none": {},
    "slow": {"kind": "slow-down", "worker": 0, "time_s": START_S, "duration_s": LENGTH_S, "factor": 4.0},
    "crash": {"kind": "crash", "worker": 0, "time_s": START_S, "down_s": LENGTH_S},
}
WINDOWS = {
    "30 s before": (START_S - 30.0, START_S),
    "first 5 s": (START_S, START_S + 5.0),
    "rest of 20 s": (START_S + 5.0, START_S + LENGTH_S),
    "5 s after": (START_S + LENGTH_S, START_S + LENGTH_S + 5.0),
    "25 s after that": (START_S + LENGTH_S + 5.0, START_S + LENGTH_S + 30.0),
}
"""When a request was sent."""
FORMS: dict[str, dict[str, Any]] = {
    "default": {},
    "no regression": {"rate": 0.0},
    "ten times the step": {"rate": 0.2},
    "no bound": {"bound": None},
}
"""Row of the table -> arguments of LBGR."""


class Watched(Lbgr):
    """LBGR that writes down what it expects of each request that it sends: (worker, time, seconds)."""

    oracle = True  # it looks into the simulator when the episode is over

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.expected: list[tuple[int, float, float]] = []

    def act(self, observation: Any, info: Any) -> int:
        """See `Agent.act`."""
        worker = super().act(observation, info)
        sent = self._sent[self._decisions - 1]
        self.expected.append((worker, sent.time, self.estimate(sent)))
        return worker


def errors(form: Mapping[str, Any], fault: Mapping[str, Any], seed: int) -> dict[str, tuple[Floats, Floats]]:
    """Per window the relative errors |estimate - latency| / latency on the worker that changes, and on the others."""
    overrides = {"faults": {"schedule": [dict(fault)]} if fault else {}}
    agent = Watched(**form)
    play(agent, "straggler", seed, overrides=overrides, split="validation")
    progress = agent.env.simulator.tables["progress"]
    counted = progress[progress["decision"] >= 0]
    worker, sent_s, expected_s = np.array(agent.expected)[counted["decision"]].T
    latency_s = counted["finish_ps"] * 1e-12 - sent_s
    error = np.abs(expected_s - latency_s) / latency_s
    return {
        name: (error[inside & (worker == 0)], error[inside & (worker != 0)])
        for name, (low, high) in WINDOWS.items()
        for inside in [(sent_s >= low) & (sent_s < high)]
    }


def change(seeds: int) -> str:
    """Median relative error per window, its mean over the seeds, in per cent."""
    tables = []
    for name, fault in CHANGES.items():
        rows = []
        for form, arguments in tqdm(FORMS.items(), desc=name, disable=None):
            found = [errors(arguments, fault, seed) for seed in range(seeds)]
            for which, who in enumerate(("worker 0", "others")):
                row = [form if which == 0 else "", who]
                for window in WINDOWS:
                    medians = np.array([np.median(one[window][which]) for one in found if len(one[window][which])])
                    row.append(_per_cent(medians))
                rows.append(row)
        table = tabulate(rows, ["form", "sent to", *WINDOWS], tablefmt="github", disable_numparse=True)
        tables.append(f"{name}\n\n{table}")
    return "\n\n".join(tables)


def _per_cent(medians: Floats) -> str:
    if len(medians) == 0:
        return "-"
    found = interval(100.0 * medians)
    return f"{found.mean:.0f} ({found.low:.0f} to {found.high:.0f})"
