"""Service classes: checks, and classes that are drawn per session."""

import re
from dataclasses import replace

import numpy as np
import pytest

from kvgym import ServiceClass, Simulator, Workload, get_scenario
from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.workload.classes import draw_classes

FAST, SLOW = ServiceClass("fast", share=3), ServiceClass("slow", share=1.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "a/b"}, "name of a service class must be without '/', got 'a/b'"),
        ({"name": ""}, "name of a service class must be a string with something in it"),
        ({"name": "a", "slo_ttft_s": -1}, "slo_ttft_s must be a finite number from 0 to 4e+06, got -1"),
        ({"name": "a", "slo_tpot_s": "x"}, "slo_tpot_s must be a finite number from 0 to 4e+06, got 'x'"),
        ({"name": "a", "refusal_cost_s": -0.5}, "refusal_cost_s must be a finite number"),
        ({"name": "a", "priority": 0.5}, "priority must be an integer >= -2147483647, got 0.5"),
        ({"name": "a", "priority": 2**31}, "priority must be at most 2147483647, got 2147483648"),
        ({"name": "a", "share": -1}, "share must be a finite number >= 0, got -1"),
    ],
)
def test_what_is_no_class(fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ServiceClass(**fields)


def test_a_session_keeps_its_class_whatever_else_there_is():
    seed = np.random.SeedSequence(5)
    sessions = np.arange(40000, dtype=np.int32) // 4
    drawn = draw_classes((FAST, SLOW), sessions, seed, 7)
    assert (drawn == drawn[sessions * 4]).all()
    assert 0.74 < (drawn == 0).mean() < 0.76
    assert (draw_classes((FAST, SLOW), sessions[:100], seed, 7) == drawn[:100]).all()
    assert (draw_classes((FAST, SLOW), sessions, np.random.SeedSequence(6), 7) != drawn).any()
    assert (draw_classes((replace(FAST, share=0), SLOW), sessions, seed, 7) == 1).all()


def test_classes_of_a_scenario():
    plain = get_scenario("multi-turn", {"episode_requests": 64})
    seed = plain.seeds(0, "train", 0)[0]
    own = plain.with_overrides({"slo_ttft_s": 3, "classes": [{"name": "a"}, {"name": "b", "slo_ttft_s": 0}]})
    assert [one.slo_ttft_s for one in own.service_classes] == [3, 0]
    assert own.workload(seed).content_hash() == plain.workload(seed).content_hash()
    drawn = plain.with_overrides({"classes": [{"name": "a", "share": 1}, {"name": "b", "share": 1}]}).workload(seed)
    assert set(drawn.requests["service_class"]) == {0, 1}
    assert not plain.workload(seed).requests["service_class"].any()  # a copy, not the shared table


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"name": "a"}, "classes must be a list of service classes, got {'name': 'a'}"),
        ([{"name": "a", "target": 1}], "class 0: 'target' (given 1) is not known; allowed are name, slo_ttft_s, "),
        ([{"name": "a"}, {"slo_ttft_s": 1}], "class 1: 'name' is missing; needed are name, got {'slo_ttft_s': 1}"),
        ([{"name": "a", "slo_ttft_s": -1}], "class 0: slo_ttft_s must be a finite number"),
        ([{"name": "a"}, {"name": "a"}], "classes must have different names, got a, a"),
        ([{"name": "a", "share": 1}, {"name": "b"}], "shares of classes must be given for all, and above 0 for one"),
        ([{"name": "a", "share": 0}], "shares of classes must be given for all, and above 0 for one"),
        ([{"name": str(i)} for i in range(17)], "classes must be at most 16, got 17"),
    ],
)
def test_what_a_scenario_refuses(classes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        get_scenario("gsp", {"classes": classes})


def test_numbers_of_a_workload():
    sim = Simulator(ClusterSpec.uniform(1, 8, IterationCost(c0=1.0)), EngineSpec(page_size=1))
    workload = Workload.from_tokens([[1], [2]], [1, 1], [0.0, 1.0], 1, service_classes=[0, 2])
    sim.reset(workload)
    sim.reset(workload, classes=[FAST])  # a single one is for all
    with pytest.raises(ValueError, match=re.escape("service_class of a request must be below 2 (fast, slow), got 2")):
        sim.reset(workload, classes=[FAST, SLOW])
    with pytest.raises(ValueError, match="classes must be ServiceClass objects, got 'fast'"):
        sim.reset(workload, classes=["fast"])
