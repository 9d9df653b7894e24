"""The reward "slo", step by step from the records; metrics of classes and of tenants by hand."""

import re

import numpy as np
import pytest

from kvgym import Scenario, ServiceClass, Simulator, Workload
from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost, WorkerSpec
from kvgym.envs.metrics import NAMES, episode_metrics
from kvgym.wrappers import RewardVector
from tests.envs.helpers import FORMS, MOVING, make_form, random_actions

CLASSES = [
    {"name": "chat", "slo_ttft_s": 0.15, "share": 2},
    {"name": "batch", "slo_ttft_s": 0, "slo_tpot_s": 0.025, "share": 1},
    {"name": "both", "slo_ttft_s": 1.0, "slo_tpot_s": 0.03, "share": 1},
]
ONE = {"slo_ttft_s": 0.3, "slo_tpot_s": 0.03}


def missed_at(sim, classes, q):
    """When request `q` missed a target, refusals apart: ps, None if it has not by now. Rules W1 and D3, in integers."""
    now, status = int(sim.tables["clock"]["now_ps"][0]), sim.tables["progress"][q]
    request = sim.tables["requests"][q]
    own = classes[request["service_class"] if len(classes) > 1 else 0]
    ttft, tpot = round(own.slo_ttft_s * 1e12), round(own.slo_tpot_s * 1e12)
    first, finish, refused = (int(status[name]) for name in ("first_token_ps", "finish_ps", "refused_ps"))
    deadline = int(status["arrived_ps"]) + ttft
    here = first if first >= 0 else refused if refused >= 0 else now + 1
    if (ttft and deadline < here) or (ttft and first < 0 and refused == deadline):
        return deadline
    if tpot and finish >= 0 and finish - first > tpot * (int(request["output_tokens"]) - 1):
        return finish
    return None


def expected_rewards(env, ends, refused_in):
    """Minus the misses of each step, whose ends are given (ps); of refused requests the step that refused them."""
    sim, misses = env.simulator, np.zeros(len(ends))
    for q in np.flatnonzero((sim.tables["progress"]["arrived_ps"] >= 0) & (sim.tables["progress"]["decision"] >= 0)):
        time = missed_at(sim, env.scenario.service_classes, q)
        if time is not None:
            misses[np.searchsorted(ends, time)] += 1
        elif q in refused_in:
            misses[refused_in[q]] += 1
    return -misses


def played(env, seed):
    """Rewards, ends of the steps (ps), the step that refused each refused request, and the last step's info."""
    env.reset(seed=seed)
    sim, policy = env.unwrapped.simulator, random_actions(env)
    rewards, ends, refused_in, over = [], [], {}, False
    while not over:
        due = int(sim.tables["clock"]["request"][0])
        _, reward, terminated, truncated, info = env.step(policy(len(ends)))
        sim = env.unwrapped.simulator
        if due >= 0 and sim.tables["progress"]["refused_ps"][due] >= 0:
            refused_in[due] = len(ends)
        rewards.append(reward)
        ends.append(int(sim.tables["clock"]["now_ps"][0]))
        over = terminated or truncated
    return rewards, np.array(ends), refused_in, info["episode_metrics"]


@pytest.mark.parametrize("horizon", ["drain", "truncate"])
@pytest.mark.parametrize("more", [{"classes": CLASSES}, ONE, {**MOVING, "classes": CLASSES}], ids=["3", "1", "moving"])
@pytest.mark.parametrize("form", FORMS)
def test_each_miss_is_paid_once_in_the_step_in_which_it_happens(form, more, horizon):
    total = 0
    env = make_form(form, more=more, reward="slo", horizon=horizon)
    for seed in (1, None):  # the second episode starts from nothing, too
        rewards, ends, refused_in, metrics = played(env, seed)
        expected = expected_rewards(env, ends, refused_in)
        assert rewards == expected.tolist()
        if horizon == "drain":
            assert -sum(rewards) == round(metrics["n"] * (1 - metrics["slo_attainment"]))
        total += sum(rewards)
    assert total < 0
    vector = RewardVector(make_form(form, more=more, horizon=horizon))
    assert [reward[2] for reward in played(vector, 1)[0]] == played(env, 1)[0]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"slo_ttft_s": 0, "slo_tpot_s": 0}, "in each service class of scenario 'gsp-stable' (all); without one: all"),
        ({"classes": [{"name": "a"}, {"name": "b", "slo_ttft_s": 0, "slo_tpot_s": 0}]}, "(a, b); without one: b"),
    ],
)
def test_a_class_without_targets_has_no_such_reward(overrides, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_form("route", more=overrides, reward="slo")
    make_form("route", more=overrides)


# One worker of 10 ms an iteration, another of 20; chunks of 4 tokens.
CLUSTER = ClusterSpec([WorkerSpec(64, IterationCost(c0=20.0)), WorkerSpec(64, IterationCost(c0=10.0))])
ENGINE = EngineSpec(page_size=1, chunk_tokens=4, max_running=4)
SCENARIO = {"name": "hand", "recipe": "gsp", "workers": [{"kv_tokens": 64, "cost": {"c0": 1.0}}]}


def simulated(routes, prompts, outputs, arrivals, classes=(), **columns):
    sim = Simulator(CLUSTER, ENGINE)
    sim.reset(Workload.from_tokens(prompts, outputs, arrivals, 1, **columns), classes=classes)
    for worker in routes:
        sim.advance()
        sim.refuse() if worker is None else sim.route(worker)
    assert sim.advance().kind == "DONE"
    return sim


def test_fairness_by_hand():
    """Alone on the fast worker 5 prompt tokens are two iterations and 3 output tokens two more: 40 ms."""
    prompts = [[q * 10 + i for i in range(5)] for q in range(4)]
    # Each has its worker to itself, but the last two share the slow one: tenant 3 waits for tenant 9.
    sim = simulated([1, 0, 0, 0], prompts, [3, 3, 1, 1], [0.0, 0.0, 1.0, 1.0], tenants=[3, 9, 9, 3])
    metrics = episode_metrics(sim, Scenario(**SCENARIO))
    # Of the last two: 20 ms alone; the first is done after 40 ms, and the other's 5 tokens take 3 of the last chunk of
    # the first iteration pair and 2 of a third one: 60 ms.
    slowdowns = {3: (1.0 + 3.0) / 2, 9: (2.0 + 2.0) / 2}
    share = np.array([1 / value for value in slowdowns.values()])
    assert metrics["largest_slowdown"] == pytest.approx(max(slowdowns.values()))
    assert metrics["jain_index"] == pytest.approx(share.sum() ** 2 / (2 * (share**2).sum()))
    for tenants in ([0, 7], [0, 1]):
        alone = simulated([1, 0], prompts[:2], [3, 3], [0.0, 0.0], tenants=tenants)
        metrics = episode_metrics(alone, Scenario(**SCENARIO))
        assert metrics["largest_slowdown"] == pytest.approx(2.0)
        assert metrics["jain_index"] == pytest.approx(1.5**2 / (2 * (1 + 0.25)))


def test_targets_are_met_to_the_picosecond():
    """40 ms to the first token would be two iterations of the slow worker; then two more for the others."""
    for ttft, tpot, good in ((0.04, 0.02, 1), (0.04 - 1e-12, 0.0, 0), (0.0, 0.02 - 1e-12, 0), (0.0, 0.02, 1)):
        sim = simulated([0], [[1, 2, 3, 4, 5]], [3], [0.0], [ServiceClass("a", ttft, tpot)])
        assert episode_metrics(sim, Scenario(**SCENARIO))["slo_attainment"] == good


def test_metrics_of_classes_by_hand():
    classes = [ServiceClass("fast", slo_ttft_s=0.01), ServiceClass("slow", slo_tpot_s=0.02, refusal_cost_s=3.0)]
    prompts = [[q * 10] for q in range(5)]
    sim = simulated(
        *([1, 0, 0, 1, None], prompts, [2] * 5, [0.0, 1.0, 2.0, 3.0, 4.0], classes),
        service_classes=[0, 0, 1, 1, 1],
    )
    metrics = episode_metrics(sim, Scenario(**SCENARIO, classes=[{"name": "fast"}, {"name": "slow"}]))
    assert tuple(metrics)[: len(NAMES) + 1] == ("n", *NAMES)
    assert (metrics["n"], metrics["refused"], metrics["refused_share"]) == (5, 1, 0.2)
    assert metrics["slo_attainment/fast"] == 0.5  # 10 ms on the fast worker, 20 on the slow one
    assert metrics["slo_attainment/slow"] == pytest.approx(2 / 3)
    assert metrics["slo_attainment"] == 0.6
    assert metrics["ttft_p95/fast"] == pytest.approx(0.0195)
    assert metrics["tpot_p95/slow"] == pytest.approx(0.0195)
    span = 3.02
    assert metrics["goodput/fast"] == pytest.approx(1 / span)
    assert metrics["goodput"] == pytest.approx(3 / span)
    assert metrics["J"] == pytest.approx((0.02 + 0.04 + 0.04 + 0.02 + 3.0) / 5)
