"""No request is ever faster than its lower bound, and one that is alone with a full hit is as fast."""

import numpy as np
import pytest

from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.envs.metrics import latency_bounds
from kvgym.sim import Simulator
from kvgym.workload import Workload
from tests.envs.helpers import SMALL, go_on, make, random_policy
from tests.sim.cases import random_case
from tests.sim.compare import play
from tests.sim.moving_cases import moving_case


def bounds(simulator):
    """The lower bounds of TTFT and E2E of all requests (ps): (n, 2)."""
    return np.rint(latency_bounds(simulator) * 1e12).astype(np.int64)


def check(simulator):
    """Every request that has finished took at least as long; returns how much longer, at the least."""
    progress = simulator.tables["progress"]
    done = progress["finish_ps"] >= 0
    low = bounds(simulator)[done]
    took = [progress[name][done] - progress["arrived_ps"][done] for name in ("first_token_ps", "finish_ps")]
    surplus = np.column_stack(took) - low
    assert (surplus >= 0).all() and (low > 0).all()
    return (1 + surplus / low).min()


@pytest.mark.parametrize("page_size", [1, 2, 16])
@pytest.mark.parametrize("schedule", ["mixed", "prefill_first"])
def test_no_request_is_faster(schedule, page_size):
    tightest = np.inf
    for seed in range(40):
        case = random_case(seed, "lru", schedule, page_size, "agent")
        simulator = case.simulator()
        play(simulator, case)
        tightest = min(tightest, check(simulator))
    assert tightest < 1.5  # it says something


def test_no_request_is_faster_where_pages_move_and_workers_fail():
    for seed in range(60):
        case = moving_case(
            seed, ["lru", "rlt", "belady"][seed % 3], ["mixed", "prefill_first"][seed % 2], overlaps=seed % 4 == 0
        )
        simulator = case.simulator()
        play(simulator, case)
        check(simulator)


@pytest.mark.parametrize("objective", ["e2e", "ttft"])
@pytest.mark.parametrize("scenario", SMALL)
def test_episodes_show_the_mean(scenario, objective):
    env = make(scenario, {"objective": objective})
    env.reset(seed=0)
    *_, (_, _, _, _, info) = go_on(env, random_policy(env.action_space.n), 0)
    metrics, simulator = info["episode_metrics"], env.unwrapped.simulator
    progress = simulator.tables["progress"]
    counts = (progress["finish_ps"] >= 0) & (progress["decision"] >= 0)
    mean = bounds(simulator)[counts, int(objective == "e2e")].mean() * 1e-12
    assert metrics["J_bound"] == pytest.approx(mean, rel=1e-12)
    assert metrics["J_bound"] <= metrics["J"]


def test_alone_with_a_full_hit_it_is_the_latency():
    cost = IterationCost(overhead_ms=2.0, c0=1.0, w=5.0, k=0.04, p=3.0, a_s=1e-5, a_kv=1e-4, c_b=0.01, c_n=0.02)
    prompt = list(range(40))
    workload = Workload.from_tokens([prompt, prompt], [7, 7], [0.0, 100.0], 16)
    simulator = Simulator(
        ClusterSpec.uniform(1, 20, cost), EngineSpec(16, chunk_tokens=64, max_running=16), router="round_robin"
    )
    simulator.reset(workload)
    simulator.run()
    took = simulator.tables["progress"]["finish_ps"] - simulator.tables["progress"]["arrived_ps"]
    assert took[1] == bounds(simulator)[1, 1] < took[0]
