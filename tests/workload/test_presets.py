"""Presets: their figures are within 15 % of those of their sources."""

import numpy as np
import pytest

from kvgym.workload import PRESETS, figures, nominal_arrivals, preset
from kvgym.workload.measure import dispersion

SEEDS = 4
LONG = 20  # dispersion is of so many times as many requests: an hour has few windows of five minutes


def made(name, seed):
    """A workload as long as the source; of coding agents, 60 whole sessions that start one a minute."""
    if name != "coding_agents":
        return preset(seed, 512, name=name, requests=PRESETS[name].requests)
    per_session = 69.5
    every_minute = {"rate": per_session / 60, "arrivals": {"process": "constant"}}
    whole = preset(seed, 512, name=name, requests=45_000, **every_minute)
    return whole._subset(whole.requests["session"] < 60)


def value(found, name):
    for part in name.split("."):
        found = found[int(part)] if isinstance(found, dict) else getattr(found, part)
    return found


def measured(name):
    """Each figure, the mean over seeds."""
    wanted = PRESETS[name].figures
    capacities = [int(key.removeprefix("lru.")) for key in wanted if key.startswith("lru.")]
    rows = []
    for seed in range(SEEDS):
        workload = made(name, seed)
        found = figures(workload, capacities=capacities)
        clients = np.sort(np.bincount(workload.requests["tenant"]))[::-1] / len(workload)
        row = {key: clients[: int(key[4:])].sum() for key in wanted if key.startswith("top_")}
        rows.append(row | {key: value(found, key) for key in wanted if "top_" not in key and "dispersion" not in key})
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    windows = [int(key.split(".")[1]) for key in wanted if key.startswith("dispersion")]
    if windows:
        long = [
            nominal_arrivals(preset(50 + s, 512, name=name, requests=LONG * PRESETS[name].requests)) for s in (0, 1)
        ]
        means |= {f"dispersion.{w}": float(np.mean([dispersion(times, w) for times in long])) for w in windows}
    return means


@pytest.mark.parametrize("name", PRESETS)
def test_figures_of_the_source(name):
    found, wanted = measured(name), PRESETS[name].figures
    assert set(found) == set(wanted)
    off = {key: (found[key], one) for key, one in wanted.items() if abs(found[key] / one - 1) > 0.15}
    assert not off


@pytest.mark.parametrize("name", PRESETS)
def test_arguments(name):
    plain = preset(1, 16, name=name, requests=200)
    assert len(plain) == 200
    assert preset(1, 16, name=name, requests=200).content_hash() == plain.content_hash()
    assert preset(1, 16, name=name, requests=200, rate=1.0).content_hash() != plain.content_hash()
    longest_prefix = 14_948 + 512
    assert (
        preset(1, 16, name=name, requests=200, max_context=500).requests["prompt_tokens"].max() <= longest_prefix + 500
    )


def test_refusals():
    with pytest.raises(ValueError, match="name must be one of chat, api_templates"):
        preset(1, 16, name="talk")
    with pytest.raises(ValueError, match="preset 'chat': 'speed' \\(given 3\\) is not known"):
        preset(1, 16, name="chat", speed=3)
