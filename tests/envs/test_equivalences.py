"""Environments in which the agent does as a rule does are the environments with that rule."""

import numpy as np
import pytest

from agents import make_agent
from kvgym.envs.settings import V0_RULES
from kvgym.sim import RULES
from tests import often
from tests.envs.helpers import SMALL, digest, make_form, play, random_policy
from tests.envs.spy import make_agent as make_spy
from tests.sim.cases import VIEWS

PRESSED = sorted(set(SMALL) - {"sanity"})


def rule_run(env, evictor, router):
    """The episode that `env` is at, played by rules of the simulator alone."""
    scenario = env.scenario
    _, policy_seed = scenario.seeds(env.np_random_seed, env.split, env._episode)
    simulator = scenario.simulator(evictor, router)
    limit = scenario.warmup_requests + scenario.episode_requests
    warmup = {"warmup": scenario.warmup_requests, "warmup_router": scenario.warmup_router}
    simulator.reset(env.workload, policy_seed, limit=limit, **warmup)
    simulator.run()
    return simulator


def routed_run(form, evictor, agent, scenario, seeds=3, more=None, **kwargs):
    """Records and metrics of some episodes of Route-v0 with an evictor and a routing agent."""
    env = make_form("route", scenario, more, evictor=evictor, **kwargs)
    out = []
    for seed in range(seeds):
        observation, info = env.reset(seed=seed)
        agent.reset(env, seed)
        done = False
        while not done:
            observation, _, done, _, info = env.step(agent.act(observation, info))
        out.append((env.simulator.records().tobytes(), info["episode_metrics"]))
    return out


def played(env, action, seeds=3):
    """The same of an environment in which always the same is done."""
    out = []
    for seed in range(seeds):
        info = play(env, lambda t: action, seed=seed)[-1][4]
        out.append((env.simulator.records().tobytes(), info["episode_metrics"]))
    return out


@pytest.mark.parametrize(("scenario", "agent"), often.diagonals(PRESSED, ["least_loaded", "lbgr_code", "lmetric"]))
def test_slot_0_is_lru(scenario, agent):
    env = make_form("evict", scenario, quantum=1, router=f"agents:{agent}")
    expected = routed_run("physical", "lru", make_agent(agent), scenario, observation="physical")
    assert played(env, 0) == expected
    assert env.simulator.totals()["evicted"].sum() > 0 or scenario == "multi-turn"


@pytest.mark.parametrize("scenario", ["gsp-stable", "multi-turn"])
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_always_named_is_the_evictor(rule, scenario):
    """Under a routing agent, and under a rule of the simulator."""
    env = make_form("evict-rule", scenario, router="agents:lbgr_code", rules=RULES)
    agent = make_agent("lbgr_code")
    expected = routed_run("physical", rule, agent, scenario, observation="physical")
    assert played(env, RULES.index(rule)) == expected

    env = make_form("evict-rule", scenario, router="prefix_affinity", rules=["lru", rule] if rule != "lru" else None)
    for seed in range(3):
        play(env, lambda t: int(rule != "lru"), seed=seed)
        assert env.simulator.records().tobytes() == rule_run(env, rule, "prefix_affinity").records().tobytes()


@pytest.mark.parametrize("rule", RULES)
def test_joint_rule_form_with_one_rule_is_route(rule):
    """The scenario's evictor, which plays the warm-up, is the rule too."""
    more = {"evictor": rule, "warmup_requests": 8, "episode_requests": 36}
    joint, route = make_form("joint", more=more, rules=RULES), make_form("route", more=more)
    workers, number = random_policy(3, seed=5), RULES.index(rule)
    evicted = 0
    for seed in range(3):
        a = play(joint, lambda t: (workers(t), number), seed=seed)
        b = play(route, workers, seed=seed)
        for step in (*a, *b):
            step[4].pop("action_mask")
        assert [step[0].tolist() for step in a] == [step[0].tolist() for step in b]
        assert [step[2:] for step in a] == [step[2:] for step in b]
        np.testing.assert_allclose([step[1] for step in a], [step[1] for step in b], rtol=1e-9, atol=1e-12)
        assert joint.simulator.records().tobytes() == route.simulator.records().tobytes()
        evicted += joint.simulator.totals()["evicted"].sum()
    assert evicted > 0


@pytest.mark.parametrize("form", ["evict", "evict-rule"])
def test_the_agent_of_a_rule_is_that_rule(form):
    """Both know the load of now."""
    more = {"metrics_period_s": 0.0}
    by_agent = make_form(form, more=more, router="agents:least_loaded")
    by_rule = make_form(form, more=more, router="least_loaded")
    for seed in range(4):
        assert digest(play(by_agent, seed=seed)) == digest(play(by_rule, seed=seed))
        assert by_agent.simulator.records().tobytes() == by_rule.simulator.records().tobytes()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("scenario", PRESSED)
@pytest.mark.parametrize("form", ["physical", "scaled"])
def test_a_router_is_shown_what_route_shows(form, scenario, view):
    """Observations, info, finished requests, pages of the prompt: two episodes, the warm-up's end included."""
    more = {"view": view, "metrics_period_s": 0.1, "warmup_requests": 4, "episode_requests": 30}
    env = make_form("evict-rule", scenario, more, router=f"tests.envs.spy:{form}")
    played(env, V0_RULES.index("lfu"), seeds=2)
    spy = make_spy(form)
    routed_run(form, "lfu", spy, scenario, seeds=2, more=more, observation=form)
    assert len(spy.seen) == 2 * 31 or (scenario == "failover" and len(spy.seen) > 2 * 31)  # some come back
    assert env.adapter.agent.seen == spy.seen


@pytest.mark.parametrize("asking", [{}, {"action": "rule"}])
def test_a_router_is_seeded_by_the_episode(asking):
    """Its seed changes with the policy's seed alone."""
    seeds = []
    for options in ({}, {}, {"policy_seed": 4}, {"workload_seed": 4}):
        env = make_form("evict", router="tests.envs.spy:scaled", **asking)
        env.reset(seed=0, options=options)
        env.reset()
        seeds.append(env.adapter.agent.seeds)
    assert seeds[0] == seeds[1] == seeds[3] != seeds[2]
    assert len(set(seeds[0])) == 2


@pytest.mark.slow
def test_slot_k_half_is_rlt():
    """Bar: with pages one by one, the first drawn slot has RLT's hit rate (of 64 episodes, within 0.005)."""
    more = {"episode_requests": 100, "recipe_args": {"prompts_per_group": 14}}
    env = make_form("evict", more=more, candidates=16, quantum=1)
    rates = []
    for seed in range(64):
        metrics = play(env, lambda t: 8, seed=seed)[-1][4]["episode_metrics"]
        rates.append((metrics["hit_rate"], *(rate(env, evictor) for evictor in ("rlt", "lru"))))
        assert env.n_invalid == 0
    agent, rlt, lru = np.mean(rates, axis=0)
    assert abs(agent - rlt) < 0.005
    assert min(agent, rlt) - lru > 0.01  # and it matters who evicts


def rate(env, evictor):
    """Hit rate of the counted requests under a rule."""
    rows = rule_run(env, evictor, "least_loaded").records()[env.scenario.warmup_requests :]
    return rows["hit_tokens"].sum() / rows["prompt_tokens"].sum()


def test_the_warmup_is_evicted_by_the_agent():
    """Its first decisions are for requests that don't count."""
    for form in ("evict", "evict-rule", "joint-leaf"):
        env = make_form(form, more={"warmup_requests": 30, "episode_requests": 14})
        env.reset(seed=0)
        assert int(env.simulator.tables["clock"]["n_arrived"][0]) <= 30
    joint = make_form("joint", more={"warmup_requests": 30, "episode_requests": 14})
    joint.reset(seed=0)
    assert int(joint.simulator.tables["clock"]["n_arrived"][0]) == 31
    assert joint.simulator.totals()["evicted"].sum() > 0  # by the scenario's evictor
