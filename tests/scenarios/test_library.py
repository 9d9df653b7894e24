"""Every scenario: it builds for any seed, fits its cluster, has the size that it plays, and stays what it is."""

import itertools
import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from kvgym.scenarios import FAMILIES, OBJECTIVES, SCENARIOS, SPLITS, SUITE_SCENARIOS, family_of, get_scenario
from kvgym.sim import EVICTORS, ROUTERS
from tests.scenarios.golden import FILE, content

GENERATED = sorted(set(SCENARIOS) - {"trace"})
STORED = json.loads(Path(FILE).read_text(encoding="utf-8"))


SEEDS = (0, 1, 2**100)
EACH_ONCE = list(zip(SPLITS, itertools.cycle(SEEDS), strict=False))
ALL = list(itertools.product(SPLITS, SEEDS))


def workload(name, seed=0, split="train", episode=0, overrides=None):
    scenario = get_scenario(name, overrides)
    return scenario.workload(scenario.seeds(seed, split, episode)[0], split)


@pytest.mark.parametrize("pairs", [EACH_ONCE, pytest.param(ALL, marks=pytest.mark.slow)], ids=["once", "all"])
@pytest.mark.parametrize("name", GENERATED)
def test_every_seed_and_split_gives_a_workload_that_fits(name, pairs):
    scenario = SCENARIOS[name]
    smallest = min(worker.kv_pages for worker in scenario.cluster.workers)
    for split, seed in pairs:
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
    assert 2 <= len(scenario.cluster) <= 64
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
    with pytest.raises(ValueError, match=r"scenario must be one of .*, trace, .*; got 'gps'"):
        get_scenario("gps")


def test_unknown_split():
    with pytest.raises(ValueError, match="split must be one of train, validation, test, all; got 'dev'"):
        SCENARIOS["gsp"].seeds(0, "dev", 0)


def test_each_scenario_is_of_one_family():
    named = [name for family in FAMILIES.values() for name in family.scenarios]
    assert sorted(named) == sorted(SUITE_SCENARIOS)
    assert all(family.text for family in FAMILIES.values())
    assert {name for name, family in FAMILIES.items() if family.held_out} == {"unseen"}
    assert family_of("chat-stale") == "chat" and family_of("mine") == ""


def test_a_variant_has_the_workloads_of_its_own_name():
    chat, stale = SCENARIOS["chat"], SCENARIOS["chat-stale"]
    assert stale.recipe_args == chat.recipe_args and stale.engine == chat.engine
    assert workload("chat").content_hash() != workload("chat-stale").content_hash()


@pytest.mark.parametrize("name", GENERATED)
@pytest.mark.parametrize("form", ["KVGym/Route-v0", "KVGym/Joint-v0"])
def test_every_scenario_plays(form, name):
    env = gym.make(form, scenario=name, scenario_overrides={"episode_requests": 24, "warmup_requests": 8})
    env.action_space.seed(0)
    _, info = env.reset(seed=0)
    over = False
    while not over:
        _, _, over, truncated, info = env.step(env.action_space.sample(mask=_mask(env, info)))
        assert not truncated
    assert 0 < info["episode_metrics"]["J"] < 1000


def _mask(env, info):
    mask = info["action_mask"]
    if isinstance(env.action_space, gym.spaces.Discrete):
        return mask
    return tuple(np.split(mask, np.cumsum(env.action_space.nvec)[:-1]))
