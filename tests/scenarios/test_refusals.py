"""What is nested in a scenario and not allowed: a ValueError with name, value and what is allowed, nothing raw."""

import math
import os
import re

import pytest

from kvgym.scenarios import get_scenario

OWN = {"kv_tokens": 16_000, "cost": {"c0": 5.0}}
ONE = {"model": "llama-3.1-8b", "gpu": "h100"}
COSTS = "overhead_ms, c0, w, k, p, a_s, a_kv, c_b, c_n, knots"
DESCRIPTION = "model, gpu, tp, weights, kv_dtype, context_tokens, data_attention, mem_fraction, overhead_ms, form"
GSP = "groups, prompts_per_group, prefix_ratio, lengths, output_tokens, rate, arrivals, order"
FOLDER = os.path.dirname(__file__)
FILE = "path in recipe_args of trace must be "


def args(**given):
    return {"recipe_args": given}


def trace(**given):
    return {"recipe": "trace", "recipe_args": given}


def recipe(name, **given):
    return {"recipe": name, "recipe_args": given}


def worker(**given):
    return {"workers": [given]}


def cost(value):
    return worker(kv_tokens=16_000, cost=value)


def network(**given):
    return {"network": given}


def schedule(*faults):
    return {"faults": {"schedule": list(faults)}}


REFUSED = [
    # recipe_args: names, types, ranges, files
    (args(speed=1), f"recipe_args of gsp: 'speed' (given 1) is not known; allowed are {GSP}"),
    (args(requests=3), f"recipe_args of gsp: 'requests' (given 3) is not known; allowed are {GSP}"),
    (args(seed=3), "recipe_args of gsp: 'seed' (given 3) is not known"),
    (args(lengths=5), "lengths must be a flat sequence of integers, got shape (), dtype int64: 5"),
    (args(lengths=None), "lengths must be a flat sequence of integers, got shape (), dtype object: None"),
    (args(lengths="ab"), "lengths must be a flat sequence of integers, got shape (), dtype <U2: 'ab'"),
    (args(lengths=[]), "the number of lengths must be an integer >= 1, got 0"),
    (args(lengths=[512, 0]), "lengths[1] must be in 1 .. "),
    (args(lengths={1, 2}), "lengths of recipe_args must be a JSON value (number, string, True, False, None, list"),
    (args(rate="x"), "rate must be a finite number from 0 to 1e+09, got 'x'"),
    (args(rate=0), "rate must be > 0, got 0"),
    (args(order=3), "order must be one of random, grouped, worst; got 3"),
    (args(groups=2.5), "groups must be an integer >= 1, got 2.5"),
    (args(prefix_ratio=2), "prefix_ratio must be a finite number from 0 to 1, got 2"),
    (args(output_tokens=None), "output_tokens must be an integer >= 1, got None"),
    ({"recipe_args": {5: 1}}, "recipe_args must have names as keys, got 5"),
    ({"recipe_args": 5}, "recipe_args must be a mapping of names to values, got 5"),
    (recipe("multi_turn", turns=3), "turns must be a flat sequence of integers, got shape (), dtype int64: 3"),
    (recipe("multi_turn", turns=["a"]), "turns must be a flat sequence of integers, got shape (1,), dtype <U1: ['a']"),
    (recipe("multi_turn", turns=[]), "the number of turns must be an integer >= 1, got 0"),
    (recipe("long_documents", lengths=1), "lengths must be a flat sequence of integers, got shape (), dtype int64: 1"),
    (recipe("equal", slot_s=None), "slot_s must be a finite number from 0 to 1e+09, got None"),
    (recipe("coding_agents", prefix_tokens="a"), "prefix_tokens must be an integer >= 0, got 'a'"),
    (recipe("coding_agents", max_context=5), "max_context must be an integer >= 12002, got 5"),
    ({"recipe": 5}, "recipe must be one of gsp, multi_turn, long_documents, equal, coding_agents, sessions, "),
    ({"recipe": {"a": 1}}, "trace; got {'a': 1}; or "),
    ({"recipe": None}, "recipe must be one of gsp, "),
    ({"recipe": "gps"}, "trace; got 'gps'; or \"module:name\" of a function"),
    (trace(), "recipe_args of trace: 'path' is missing; needed are path, got {}"),
    (trace(path="nowhere.jsonl"), f"{FILE}an existing file or folder, got 'nowhere.jsonl'"),
    (trace(path=FOLDER), f"{FOLDER}: the format is not known (the first record has "),
    (trace(path=5), f"{FILE}a string with something in it, got 5"),
    (trace(path=None), f"{FILE}a string with something in it, got None"),
    (trace(path=["a"]), f"{FILE}a string with something in it, got ['a']"),
    (trace(path=""), f"{FILE}a string with something in it, got ''"),
    (trace(path=__file__), "test_refusals.py: the format is not known (the first record has "),
    (trace(path=__file__, format="mooncake"), "test_refusals.py, line 1: expected a JSON object, got "),
    (trace(path=__file__, format="csv"), "format must be one of mooncake, bailian, agent-sessions, lengths, "),
    (
        trace(path=__file__, format="mooncake", starts="fixed"),
        "'mooncake': 'starts' (given 'fixed') is not known; allowed are rate_",
    ),
    (trace(path=__file__, window_s=[0, 1]), "recipe_args of trace: 'window_s' (given [0, 1]) is not known"),
    # workers and their costs
    ({"workers": 5}, "workers must be a list of worker descriptions, got 5"),
    ({"workers": {"a": 1}}, "workers must be a list of worker descriptions, got {'a': 1}"),
    ({"workers": [{5: 5}]}, "entry 0 of workers must have names as keys, got 5"),
    ({"workers": [ONE, 7]}, "worker 1 must be a mapping of names to values, got 7"),
    (worker(), "worker 0: 'model' is missing; needed are model, gpu, got {}"),
    (worker(model="llama-3.1-8b"), "worker 0: 'gpu' is missing; needed are model, gpu, got "),
    (worker(kv_tokens=100), "worker 0: 'cost' is missing; needed are kv_tokens, cost, got {'kv_tokens': 100}"),
    (worker(**ONE, speed=1), f"worker 0: 'speed' (given 1) is not known; allowed are {DESCRIPTION}"),
    (worker(**ONE, page_size=3), f"worker 0: 'page_size' (given 3) is not known; allowed are {DESCRIPTION}"),
    (worker(**OWN, gpu="h100"), "'gpu' (given 'h100') is not known; allowed are kv_tokens, cost, kv_bytes_per_token"),
    (worker(**ONE, tp="x"), "worker 0: tp must be an integer >= 1, got 'x'"),
    (worker(**ONE, mem_fraction="x"), "worker 0: mem_fraction must be a finite number from 0 to 1, got 'x'"),
    (worker(**ONE, form=7), "worker 0: form of llama-3.1-8b on 1 x h100 must be one of linear, roofline, table; got 7"),
    (worker(model=5, gpu="h100"), "glm-4.5-air; got 5"),
    (worker(model=["a"], gpu="h100"), "glm-4.5-air; got ['a']"),
    (worker(model={"name": "a"}, gpu="h100", form="published"), "worker 0: model a must have the fields ["),
    (worker(**ONE, count="x"), "count of worker 0 must be an integer >= 1, got 'x'"),
    (worker(**{**OWN, "kv_tokens": "x"}), "worker 0: kv_tokens must be an integer >= 1, got 'x'"),
    (worker(**OWN, kv_bytes_per_token=-1), "worker 0: kv_bytes_per_token must be an integer >= 0, got -1"),
    (cost(5), "worker 0: cost must be a mapping of names to values, got 5"),
    (cost({"speed": 1}), f"worker 0: cost: 'speed' (given 1) is not known; allowed are {COSTS}"),
    (cost({"c0": "x"}), "worker 0: c0 must be a finite number >= 0, got 'x'"),
    (cost({"c0": -1}), "worker 0: c0 must be a finite number >= 0, got -1"),
    (cost({"p": 0.5}), "worker 0: p must be a finite number >= 1, got 0.5"),
    (cost({"knots": 5}), "worker 0: knots must be pairs (tokens, ms), got 5"),
    (cost({"knots": [[1]]}), "worker 0: knots must be pairs (tokens, ms), got [[1]]"),
    (cost({"knots": [[1, None]]}), "worker 0: ms of knot 0 must be a finite number >= 0, got None"),
    ({"n_workers": "x"}, "n_workers must be an integer >= 1, got 'x'"),
    ({"n_workers": 2, "workers": 5}, "workers must be a list of worker descriptions, got 5"),
    # engine
    ({"engine": None}, "engine must be a mapping of names to values, got None"),
    ({"engine": {5: 1}}, "engine: 5 (given 1) is not known; allowed are page_size, schedule, chunk_tokens"),
    ({"engine": {"page_size": "x"}}, "page_size must be an integer >= 1, got 'x'"),
    ({"engine": {"max_running": None}}, "max_running must be an integer >= 1, got None"),
    ({"engine": {"reserve_output": "x"}}, "reserve_output must be a finite number >= 0, got 'x'"),
    # network
    ({"network": 5}, "network must be a mapping of names to values, got 5"),
    (network(), "network must have either nodes (of each worker) or per_node (workers), got []"),
    (network(speed=3), "network key must be one of nodes, per_node, inside, between; got 'speed'"),
    (network(per_node=2), "no link inside node 0, which has 2 workers: give `inside`"),
    (network(per_node="x"), "per_node of the network must be an integer >= 1, got 'x'"),
    (network(nodes=5), "nodes must be the node of each worker, got 5"),
    (network(nodes=["a"] * 4), "node of worker 0 must be an integer >= 0, got 'a'"),
    (network(nodes=[0]), "network must name the node of 4 workers, it names 1"),
    (network(per_node=2, inside=5), "inside must be one of nvlink-h100, nvlink-a100, "),
    (network(per_node=2, inside={"latency_ms": 1}), "link inside must have the fields ['gb_per_s', 'latency_ms', 'sou"),
    (network(per_node=2, inside={"latency_ms": 1, "gb_per_s": "x"}), "gb_per_s of link inside must be a finite number"),
    ({"transfer": True}, "transfer must be one of never, auto; got True"),
    ({"transfer": "auto"}, 'transfer "auto" needs a network, the scenario has none'),
    # faults
    ({"faults": 5}, "faults must be a mapping of names to values, got 5"),
    ({"faults": [1]}, "faults must be a mapping of names to values, got [1]"),
    ({"faults": {"speed": 1}}, "faults: 'speed' (given 1) is not known; allowed are crash_every_s, down_s"),
    ({"faults": {"crash_every_s": "x"}}, "crash_every_s must be a finite number from 0 to 1e+06, got 'x'"),
    ({"faults": {"schedule": 5}}, "schedule must be a list of faults, got 5"),
    ({"faults": {"schedule": [], "until_s": 3}}, "faults must have schedule alone or the fields of FaultRates, got "),
    (schedule(5), "fault 0 must be a mapping of names to values, got 5"),
    (schedule({}), "kind of fault 0 must be one of crash, slow-down; got None"),
    (schedule({"kind": ["crash"]}), "kind of fault 0 must be one of crash, slow-down; got ['crash']"),
    (schedule({"kind": "crash"}), "fault 0: 'worker' is missing; needed are worker, time_s, got {}"),
    (
        schedule({"kind": "crash", "worker": 0, "time_s": 1, "x": 2}),
        "fault 0: 'x' (given 2) is not known; allowed are",
    ),
    (schedule({"kind": "crash", "worker": "x", "time_s": 1}), "fault 0: worker of a crash must be an integer >= 0"),
    (schedule({"kind": "crash", "worker": 9, "time_s": 1}), "worker of a fault must be from 0 to 3, got Crash"),
    # the rest
    ({"text": 5}, "text must be a string, got 5"),
    ({"evictor": None}, "evictor must be one of lru, lru_node, "),
    ({"slo_ttft_s": math.nan}, "slo_ttft_s must be a finite number from 0 to 4e+06, got nan"),
    (5, "scenario_overrides must be a mapping of fields, or a file (.json, .yml, .yaml); got 5"),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_what_is_refused_is_named(overrides, message):
    """Where the scenario is made, or at the latest its workload."""
    with pytest.raises(ValueError, match=re.escape(message)):
        scenario = get_scenario("gsp", overrides)
        scenario.workload(scenario.seeds(0, "train", 0)[0])
