"""Overrides: what is merged, what is replaced, what is refused and how."""

from dataclasses import replace

import pytest

from kvgym.cluster import worker_spec
from kvgym.scenarios import SCENARIOS, get_scenario

WORKER = {"kv_tokens": 1600, "cost": {"c0": 10.0}}


def test_engine_and_recipe_args_are_merged():
    scenario = get_scenario("gsp-stable", {"engine": {"max_running": 8}, "recipe_args": {"groups": 4}})
    assert scenario.engine.max_running == 8
    assert scenario.engine.schedule == SCENARIOS["gsp-stable"].engine.schedule
    assert scenario.recipe_args == {"rate": 9.0, "prompts_per_group": 37, "groups": 4}
    assert SCENARIOS["gsp-stable"].recipe_args == {"rate": 9.0, "prompts_per_group": 37}


def test_another_recipe_starts_without_arguments():
    scenario = get_scenario("sanity", {"recipe": "gsp", "recipe_args": {"rate": 2.0}, "workers": [WORKER]})
    assert scenario.recipe_args == {"rate": 2.0}
    assert get_scenario("gsp-worst", {"recipe": "multi_turn"}).recipe_args == {}
    assert get_scenario("gsp-worst", {"recipe": "gsp"}).recipe_args == SCENARIOS["gsp-worst"].recipe_args


def test_workers_are_replaced():
    scenario = get_scenario("gsp", {"workers": [WORKER, {**WORKER, "kv_tokens": 3200, "count": 2}]})
    assert [worker.kv_pages for worker in scenario.cluster.workers] == [1600, 3200, 3200]  # pages of one token
    assert scenario.cluster.workers[0].cost.c0 == 10.0


def test_the_page_size_changes_the_pages_of_the_workers():
    pages = [get_scenario("gsp", {"engine": {"page_size": size}}).cluster.workers[0].kv_pages for size in (1, 16)]
    assert pages[1] == pages[0] // 16


def test_n_workers():
    assert len(get_scenario("gsp", {"n_workers": 7}).cluster) == 7
    scenario = get_scenario("sanity", {"n_workers": 3, "workers": [WORKER, {**WORKER, "kv_tokens": 3200}]})
    assert [worker.kv_pages for worker in scenario.cluster.workers] == [100, 100, 100]


def test_no_overrides():
    assert get_scenario("gsp") is SCENARIOS["gsp"]
    assert get_scenario("gsp", {}) == SCENARIOS["gsp"]


def test_seeds_do_not_depend_on_overrides():
    """Two settings of one scenario can be compared on the same requests."""
    plain, other = get_scenario("gsp"), get_scenario("gsp", {"n_workers": 2, "evictor": "rlt"})
    a, b = (s.workload(s.seeds(3, "train", 0)[0]).content_hash() for s in (plain, other))
    assert a == b


REFUSED = [
    ([("evictor", "lru")], "scenario_overrides must be a mapping"),
    ({"rate": 3}, "scenario_overrides key must be one of text, recipe, .*n_workers, .*; got 'rate'"),
    ({"name": "x"}, "scenario_overrides key must be one of"),
    ({5: "x"}, "scenario_overrides key must be one of"),
    ({"workers": 5}, "workers must be a list of worker descriptions, got 5"),
    ({"workers": None}, "workers must be a list"),
    ({"workers": []}, "workers must be a list"),
    ({"workers": ["a"]}, "worker 0 must be a mapping"),
    ({"workers": [3], "n_workers": 2}, "worker 0 must be a mapping"),
    ({"workers": [WORKER, {"model": "gpt", "gpu": "l40"}]}, "worker 1: model must be one of llama"),
    ({"workers": [{"model": "llama-3.1-8b", "gpu": "l41"}]}, "worker 0: gpu must be one of"),
    ({"workers": [{"cost": {}}]}, "worker 0: 'kv_tokens' is missing; needed are kv_tokens, cost"),
    ({"workers": [{**WORKER, "kv_tokens": 8}]}, "worker 0: kv_tokens must be an integer >= 16"),
    ({"workers": [{**WORKER, "gpu": "l40"}]}, "worker 0: 'gpu' .* not known; allowed are kv_tokens, cost"),
    ({"workers": [{**WORKER, "cost": {"z": 1}}]}, "worker 0: .*'z'"),
    ({"workers": [{**WORKER, "count": 0}]}, "count of worker 0 must be an integer >= 1, got 0"),
    ({"n_workers": 0}, "n_workers must be an integer >= 1"),
    ({"engine": 5}, "engine must be a mapping"),
    ({"engine": {"speed": 1}}, "engine: 'speed' .* not known; allowed are page_size, "),
    ({"engine": {"schedule": "x"}}, "schedule must be one of mixed, prefill_first"),
    ({"recipe": "x"}, "recipe must be one of gsp, multi_turn, long_documents, equal, coding_agents, sessions, "),
    ({"recipe_args": None}, "recipe_args must be a mapping"),
    ({"recipe_args": {"speed": 1}}, "recipe_args of gsp: 'speed' .* not known; allowed are groups, prompts_per_group"),
    ({"recipe_args": {"seed": 1}}, "recipe_args of gsp: 'seed' .* not known"),
    ({"recipe_args": {"requests": 1}}, "recipe_args of gsp: 'requests' .* not known"),
    ({"evictor": "x"}, "evictor must be one of lru"),
    ({"view": "x"}, "view must be one of exact, history"),
    ({"objective": "x"}, "objective must be one of e2e, ttft"),
    ({"warmup_router": "agent"}, "warmup_router must be one of random, round_robin, least_loaded, prefix_affinity"),
    ({"warmup_requests": -1}, "warmup_requests must be an integer >= 0"),
    ({"episode_requests": 0}, "episode_requests must be an integer >= 1"),
    ({"reward_scale_s": 0}, "reward_scale_s must be a finite number > 0"),
    ({"metrics_period_s": -1}, "metrics_period_s must be a finite number >= 0"),
    ({"history_tokens": 3}, "history_tokens must be an integer >= 16"),
    ({"output_hint_sigma": 11}, "output_hint_sigma must be a finite number from 0 to 10"),
    ({"slo_tpot_s": "x"}, r"slo_tpot_s must be a finite number from 0 to 4e\+06"),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_what_is_refused_is_named(overrides, message):
    with pytest.raises(ValueError, match=message):
        get_scenario("gsp-stable", overrides)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"recipe_args": {"rate": -1}}, "rate must be a finite number"),
        ({"recipe": "trace"}, "recipe_args of trace: .*'path'"),
        ({"episode_requests": 4097}, r"'gsp' plays 4097 requests .* its workload has 4096 \(0 fit on no worker\)"),
        (
            {"workers": [{"kv_tokens": 4096, "cost": {}}]},
            r"'gsp' plays 4096 requests .* its workload has \d+ \(\d+ fit on no worker\)",
        ),
    ],
)
def test_what_the_workload_refuses_is_named(overrides, message):
    scenario = get_scenario("gsp", overrides)
    with pytest.raises(ValueError, match=message):
        scenario.workload(scenario.seeds(0, "train", 0)[0])


def test_dropped_requests_are_counted():
    """Of prompts of 512 to 8192 tokens those of 8192 do not fit into 5000; others are made in their place."""
    overrides = {"workers": [{"kv_tokens": 5000, "cost": {}}], "episode_requests": 3000}
    scenario = get_scenario("gsp", overrides)
    workload = scenario.workload(scenario.seeds(0, "train", 0)[0])
    assert workload.requests["prompt_tokens"].max() == 4096
    assert 3000 <= len(workload) < 3100
    assert workload.n_dropped == pytest.approx((len(workload) + workload.n_dropped) * 25 / 128, rel=0.1)


def test_workers_may_name_weights_and_form():
    eight = {"model": "llama-3.1-8b", "gpu": "h100", "weights": "fp8"}
    coarse = {"model": "llama-3.1-8b", "gpu": "l4", "form": "published", "count": 2}
    cluster = get_scenario("sanity", {"workers": [eight, coarse]}).cluster
    first, second, third = cluster.workers
    assert first.cost == worker_spec("llama-3.1-8b", "h100", weights="fp8").cost
    assert second == third
    assert second.cost == worker_spec("llama-3.1-8b", "l4", form="published").cost
    with pytest.raises(ValueError, match=r"worker 0: llama-3.1-405b does not fit on 4 x h100"):
        get_scenario("sanity", {"workers": [{"model": "llama-3.1-405b", "gpu": "h100", "tp": 4, "form": "published"}]})


def test_at_load_scales_the_rate_and_keeps_the_requests():
    scenario = replace(SCENARIOS["gsp-stable"], load=0.8)
    over = scenario.with_overrides({"at_load": 1.0})
    assert (over.load, over.rate_scale) == (1.0, 1.25)
    assert over.key == scenario.key  # the same requests, closer together
    assert scenario.with_overrides({"view": "exact", "episode_requests": 10}).load == 0.8
    assert scenario.with_overrides({"n_workers": 2}).load is None
    assert scenario.with_overrides({"rate_scale": 2.0}).load is None


@pytest.mark.parametrize(
    ("load", "more", "message"),
    [
        (0.8, {"at_load": 0}, "at_load must be a finite number > 0, got 0"),
        (0.8, {"at_load": "high"}, "at_load must be a finite number >= 0"),
        (None, {"at_load": 0.5}, "has not been measured"),
        (0.8, {"at_load": 0.5, "count": 2}, "with another count the load of"),
    ],
)
def test_at_load_is_refused_where_it_means_nothing(load, more, message):
    scenario = replace(SCENARIOS["gsp-stable"], load=load)
    with pytest.raises(ValueError, match=message):
        scenario.with_overrides(more)
