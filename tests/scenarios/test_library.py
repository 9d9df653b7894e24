"""Every scenario: it builds for any seed, fits its cluster, has the size that it plays, and stays what it is."""

import json
from pathlib import Path

import numpy as np
import pytest

from kvgym.scenarios import OBJECTIVES, SCENARIOS, SPLITS, get_scenario
from kvgym.sim import EVICTORS, ROUTERS
from tests.scenarios.golden import FILE, content

GENERATED = sorted(set(SCENARIOS) - {"trace"})
STORED = json.loads(Path(FILE).read_text(encoding="utf-8"))


def workload(name, seed=0, split="train", episode=0, overrides=None):
    scenario = get_scenario(name, overrides)
    return scenario.workload(scenario.seeds(seed, split, episode)[0], split)


@pytest.mark.parametrize("name", GENERATED)
def test_every_seed_and_split_gives_a_workload_that_fits(name):
    scenario = SCENARIOS[name]
    smallest = min(worker.kv_pages for worker in scenario.cluster.workers)
    for split in SPLITS:
        for seed in (0, 1, 2**100):
            made = workload(name, seed, split)
            assert len(made) >= scenario.warmup_requests + scenario.episode_requests
            assert made.page_size == scenario.engine.page_size
            assert made.fits(smallest)
            assert made.n_dropped == 0


@pytest.mark.parametrize("name", SCENARIOS)
def test_fields(name):
    scenario = SCENARIOS[name]
    assert scenario.name == name
    assert scenario.objective in OBJECTIVES and scenario.evictor in EVICTORS and scenario.warmup_router in ROUTERS
    assert len(scenario.cluster) in (2, 4, 6, 8)
    assert scenario.text and "\n" not in scenario.text
    assert scenario.evictor != "belady"  # an oracle is nobody's default


def test_keys_and_streams_of_different_scenarios_differ():
    assert len({scenario.key for scenario in SCENARIOS.values()}) == len(SCENARIOS)
    assert workload("gsp").content_hash() != workload("gsp-worst").content_hash()


@pytest.mark.parametrize("where", STORED)
def test_workloads_are_those_of_before(where):
    assert content(*where.split()) == STORED[where], (
        "see Golden values in CONTRIBUTING.md; python -m tests.scenarios.golden writes the new ones"
    )


def test_every_generated_scenario_has_a_golden_workload():
    assert {where.split()[0] for where in STORED} == set(GENERATED)
    assert len(set(STORED.values())) == len(STORED)


def test_streams_of_one_episode_are_all_different():
    """Workload, rules and hints draw from different children of the seed, and so do splits and episodes."""
    words = []
    for split in SPLITS:
        for seed in range(5):
            for episode in range(5):
                workload_seed, rules = SCENARIOS["gsp"].seeds(seed, split, episode)
                children = [
                    np.random.SeedSequence(workload_seed.entropy, spawn_key=(*workload_seed.spawn_key, kind))
                    for kind in range(50)  # the workload's own streams are its first children
                ]
                words += [tuple(s.generate_state(4).tolist()) for s in (workload_seed, rules, *children)]
    assert len(set(words)) == len(words)


def test_hints_follow_the_workload_and_the_seed():
    scenario = get_scenario("long-doc", {"output_hint_sigma": 0.5, "recipe_args": {"output_tokens": 200}})
    seed, _ = scenario.seeds(0, "train", 0)
    made = scenario.workload(seed)
    hints = scenario.hints(made, seed)
    assert hints.dtype == np.int32 and len(hints) == len(made)
    assert np.std(np.log(hints / 200)) == pytest.approx(0.5, rel=0.05)
    assert scenario.hints(made.head(100), seed).tolist() == hints[:100].tolist()
    assert scenario.hints(made, scenario.seeds(1, "train", 0)[0]).tolist() != hints.tolist()
    assert get_scenario("long-doc").hints(made, seed) is None
    exact = get_scenario("long-doc", {"output_hint_sigma": 0.0})
    assert exact.hints(made, seed).tolist() == made.requests["output_tokens"].tolist()


def test_unknown_scenario():
    with pytest.raises(ValueError, match=r"scenario must be one of gsp, .*, trace; got 'gps'"):
        get_scenario("gps")


def test_unknown_split():
    with pytest.raises(ValueError, match="split must be one of train, validation, test, all; got 'dev'"):
        SCENARIOS["gsp"].seeds(0, "dev", 0)
