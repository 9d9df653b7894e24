"""Nothing that an agent sees, gets or causes depends on what has not happened yet."""

import dataclasses

import pytest

from tests import often
from tests.envs.helpers import make, play, random_policy
from tests.envs.token_scenarios import drawn_out, make_env, use_workload
from tests.sim.cases import VIEWS, random_case, workload_of

CAUSAL = ["lru", "lru_node", "random", "rlt", "rlt_code"]


def until(env, case, decisions):
    """What is seen at the first decisions: time, observation, reward, pages of the prompt, finished requests."""
    observation, info = env.reset(seed=0)
    seen = [(info["time"], observation.tolist(), 0.0, env.prompt_pages().tolist(), [])]
    for _ in range(decisions - 1):
        q = int(env.simulator.tables["clock"]["request"][0])
        observation, reward, *_, info = env.step(case.routes[q])
        seen.append((info["time"], observation.tolist(), reward, env.prompt_pages().tolist(), env.finished().tolist()))
    return seen


@often.cases(12)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("schedule", ["mixed", "prefill_first"])
@pytest.mark.parametrize("evictor", CAUSAL)
def test_later_requests_change_nothing_before_they_arrive(monkeypatch, evictor, schedule, view, cases):
    """The first half of a workload, alone and followed by requests that share, extend and split its prefixes."""
    for seed in range(cases):
        case = dataclasses.replace(random_case(seed, evictor, schedule, 4, "agent"), **VIEWS[view])
        if seed % 2:
            case = drawn_out(case)
        half = len(case.requests) // 2
        case = dataclasses.replace(
            case, requests=case.requests[:half] + [late(r, i) for i, r in enumerate(case.requests[half:])]
        )
        seen = []
        for requests in (case.requests[:half], case.requests):
            env = make_env(
                monkeypatch, case, {"output_hint_sigma": 0.7, "episode_requests": half}, observation="physical"
            )
            use_workload(monkeypatch, workload_of(requests, 4))
            seen.append(until(env, case, half))
        assert seen[0] == seen[1]


def late(request, i):
    """The request in open loop, when all is over."""
    return dataclasses.replace(request, arrival_ps=100 * 10**12 + 1000 * i, predecessor=-1, think_ps=0)


@pytest.mark.parametrize("view", VIEWS)
def test_the_workload_of_a_scenario_cut_after_the_episode(monkeypatch, view):
    settings = {"episode_requests": 20, "view": view, "metrics_period_s": 0.0}
    env = make("gsp-stable", settings, observation="physical")
    policy = random_policy(4)
    whole = play(env, policy, seed=1)
    use_workload(monkeypatch, env.workload.head(28))
    alone = play(make("gsp-stable", {**settings, "recipe": "tokens"}, observation="physical"), policy, seed=1)
    assert [step[0].tolist() for step in whole] == [step[0].tolist() for step in alone]
    assert [step[1:4] for step in whole] == [step[1:4] for step in alone]


@pytest.mark.parametrize("schedule", ["mixed", "prefill_first"])
@pytest.mark.parametrize("view", VIEWS)
def test_output_lengths_show_only_in_what_happens(monkeypatch, view, schedule):
    """Two workloads that differ in the output length of request 0: equal until the shorter one ends."""
    compared = 0
    for seed in range(7):
        case = random_case(seed, "lru", schedule, 4, "agent")
        workers = [dataclasses.replace(worker, kv_pages=1000) for worker in case.workers]
        engine = dataclasses.replace(case.engine, reserve_output=0.0)
        case = dataclasses.replace(case, workers=workers, engine=engine, **VIEWS[view])
        seen, finish = [], 0.0
        for length in (60, 20):
            requests = [dataclasses.replace(request, predecessor=-1, think_ps=0) for request in case.requests]
            requests = [dataclasses.replace(request, arrival_ps=100 * i) for i, request in enumerate(requests)]
            requests[0] = dataclasses.replace(requests[0], output=tuple(range(-9000 - length, -9000)))
            changed = dataclasses.replace(case, requests=requests)
            env = make_env(monkeypatch, changed, observation="physical")
            seen.append(until(env, changed, len(requests)))
            finish = env.simulator.records()["finish"][0]
        n = sum(not step[0] >= finish for step in seen[1])
        assert seen[0][:n] == seen[1][:n]
        compared += n
    assert compared > 35
