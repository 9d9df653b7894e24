"""Headroom of a scenario, and the hit rate of one pooled cache."""

import numpy as np
import pytest

from agents.bounds import headroom as module
from agents.bounds.headroom import headroom
from agents.bounds.pooled import pooled_hit_rate
from kvgym.evaluation import play
from kvgym.scenarios import get_scenario
from tests.envs.helpers import SMALL

SHORT = {"episode_requests": 20}


@pytest.mark.parametrize("scenario", ["gsp-stable", "multi-turn"])
def test_the_planner_is_never_above_the_best_pair(scenario):
    found = headroom(
        scenario,
        ["lmetric", "chwbl"],
        ["lru", "rlt"],
        (0, 1, 2),
        overrides={**SMALL[scenario], **SHORT},
        split="train",
        blind=True,
        planner={"ahead": (8,)},
    )
    assert found.costs.keys() == {(name, evictor) for name in ("lmetric", "chwbl") for evictor in ("lru", "rlt")}
    best = found.costs[found.best]
    assert np.log(best).mean() == min(np.log(costs).mean() for costs in found.costs.values())
    assert (found.planner <= best * (1 + 1e-12)).all() and (found.bound < found.planner).all()
    assert found.planners.keys() == {found.best[1], "belady"}
    assert found.ratio.mean <= 1 and found.blind.shape == (3,)
    played = play(
        module.make_agent(found.best[0]),
        scenario,
        1,
        overrides={**SMALL[scenario], **SHORT},
        evictor=found.best[1],
        split="train",
    )
    assert found.costs[found.best].tolist()[1] == played.J


def test_one_cache_hits_as_much_as_a_count_says():
    """Pages for everything: what hits are the pages that an earlier request of the episode or its warm-up had."""
    scenario = get_scenario("gsp-stable", SMALL["gsp-stable"])
    roomy = scenario.with_overrides({"workers": [{**scenario.workers[0], "count": 8}]})
    workload = scenario.workload(scenario.seeds(2, "train", 0)[0], "train")
    n, first = len(workload), scenario.warmup_requests
    size, seen, hits, prompts = workload.page_size, set(), 0, 0
    for q, request in enumerate(workload.requests[: min(n, first + scenario.episode_requests)]):
        path = workload.paths[request["path_start"] : request["path_start"] + request["path_nodes"]]
        pages = [(v, i) for v in path.tolist() for i in range(workload.nodes["n_pages"][v])]
        held = [page in seen for page in pages[: request["prompt_pages"]]]
        hit = min(size * sum(held), (request["prompt_tokens"] - 1) // size * size)
        seen.update(pages)
        if q >= first:
            hits, prompts = hits + hit, prompts + request["prompt_tokens"]
    assert pooled_hit_rate(roomy, 2, "train", "lru") == pytest.approx(hits / prompts, rel=1e-12)


def test_belady_hits_most():
    scenario = get_scenario("gsp-stable", {**SMALL["gsp-stable"], "episode_requests": 40})
    tight = scenario.with_overrides({"workers": [{**scenario.workers[0], "count": 1, "kv_tokens": 15_000}]})
    rates = {evictor: pooled_hit_rate(tight, 1, "train", evictor) for evictor in ("belady", "lru", "lfu", "fifo")}
    assert all(rates["belady"] > rates[evictor] for evictor in ("lru", "lfu", "fifo"))


@pytest.mark.parametrize("what", ["routers", "evictors", "seeds"])
def test_refusals(what):
    with pytest.raises(ValueError, match=f"{what} must hold at least one"):
        headroom("gsp-stable", **{what: ()})


def test_the_command(capsys):
    arguments = [
        "--scenario",
        "sanity",
        "--agent",
        "lmetric",
        "--evictor",
        "lru",
        "--seeds",
        "1",
        "--requests",
        "12",
        "--ahead",
        "4",
    ]
    assert module.main(arguments) == 0
    assert "lmetric + lru" in capsys.readouterr().out
