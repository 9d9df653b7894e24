"""KVGym/Route-v0 with admission: refusals cost what the scenario says, and nobody who does not refuse notices them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gymnasium import spaces

from agents import AGENTS, make_agent
from kvgym.envs.evict import EvictEnv
from kvgym.envs.joint import JointEnv
from kvgym.evaluation import play as evaluate
from kvgym.watch.film import film
from kvgym.watch.payload import payload
from kvgym.watch.trace import trace
from kvgym.wrappers import ShuffleWorkers
from tests.envs.helpers import MOVING, digest, make, play, small, total_reward

CLASSES = [
    {"name": "chat", "slo_ttft_s": 0.4, "share": 1.0},
    {"name": "batch", "refusal_cost_s": 0.7, "priority": 1, "share": 2.0},
]
PRICED = {"classes": CLASSES, "refusal_cost_s": 2.5, "engine": {"queue": "priority", "max_running": 4}}
END = {"e2e": "finish_ps", "ttft": "first_token_ps"}


def admitting(scenario="gsp-stable", more=None, **kwargs):
    return make(scenario, {**PRICED, **(more or {})}, admission=True, **kwargs)


def now_and_then(env, share=0.3):
    """Refuses some, sends the others to a worker at random."""
    rng = np.random.default_rng(5)
    n = env.layout.n_workers
    choices = np.where(rng.random(10_000) < share, n, rng.integers(n, size=10_000))
    return lambda t: int(choices[t])


def test_the_space_has_one_action_more():
    env = admitting()
    m = env.layout.n_workers
    assert env.action_space == spaces.Discrete(m + 1)
    _, info = env.reset(seed=0)
    assert info["action_mask"].tolist() == [1] * (m + 1) and env.action_masks().all()
    for wrong in (m + 1, -1, 0.0, True):
        with pytest.raises(ValueError, match=rf"a worker, or {m} to refuse, from 0 to {m}, got"):
            env.step(wrong)
    _, _, _, _, info = env.step(np.array(m))
    assert info["action_mask"].shape == (m + 1,)


@pytest.mark.parametrize("other", [EvictEnv, JointEnv])
def test_other_ids_do_not_take_it(other):
    with pytest.raises(TypeError, match=r"admission': only KVGym/Route-v0 has an action that refuses requests"):
        other(admission=True)
    with pytest.raises(ValueError, match="admission must be True or False, got 1"):
        make(admission=1)


@pytest.mark.parametrize("scenario", ["gsp-stable", "multi-turn", "failover", "multi-node-agents"])
@pytest.mark.parametrize("reward", END)
def test_the_sum_of_rewards_is_what_waiting_and_refusals_cost(scenario, reward):
    env = admitting(scenario, {"objective": reward}, reward=reward)
    for seed in range(2):
        episode = play(env, now_and_then(env), seed=seed)
        run = env.simulator.tables["progress"]
        counted = (run["arrived_ps"] >= 0) & (run["decision"] >= 0)
        gone = run["refused_ps"] >= 0
        assert counted.sum() == env.scenario.episode_requests and 0 < (gone & counted).sum() < counted.sum()
        left = np.where(gone, run["refused_ps"], run[END[reward]])
        if reward == "ttft":
            left = np.where(run["first_token_ps"] >= 0, run["first_token_ps"], left)
        cost = np.array([2.5, 0.7])[env.workload.requests["service_class"]] * gone
        expected = np.mean(((left - run["arrived_ps"]) * 1e-12 + cost)[counted])
        metrics = episode[-1][4]["episode_metrics"]
        assert metrics["J"] == pytest.approx(expected, rel=1e-9)
        assert total_reward(episode) * env.scenario.reward_scale_s / metrics["n"] == pytest.approx(-expected, rel=1e-9)
        assert metrics["refused"] == (gone & counted).sum() and metrics["n"] == counted.sum()


def test_the_step_of_a_refusal_pays_for_it():
    env = admitting(more={"warmup_requests": 0, "recipe_args": {"rate": 0.01}})  # hardly two at a time
    env.reset(seed=1)
    price = [2.5, 0.7][env.workload.requests["service_class"][0]]
    assert env.step(env.layout.n_workers)[1] * env.scenario.reward_scale_s == pytest.approx(-price)


def test_all_may_be_refused():
    env = admitting("multi-turn")
    episode = play(env, lambda t: env.layout.n_workers, seed=0)
    metrics = episode[-1][4]["episode_metrics"]
    assert metrics["n"] == metrics["refused"] == len(episode) - 1 == env.scenario.episode_requests
    assert 0.7 < metrics["J"] < 2.5 and np.isnan(metrics["e2e_mean"])
    records = env.simulator.records()
    assert (records["worker"] == -1).all() and np.isnan(records["finish"]).all()
    assert env.n_finished() == len(env.finished()) == 0


@pytest.mark.parametrize("horizon", ["drain", "truncate"])
def test_refused_requests_are_in_no_count_of_a_worker(horizon):
    env = admitting(observation="physical", horizon=horizon)
    m = env.layout.n_workers
    places = {name: env.layout.workers(name) for name in ("inflight", "waiting", "n_sent", "prefill", "active_with")}
    policy = now_and_then(env)
    observation, info = env.reset(seed=0)
    sent = observation[places["n_sent"]].sum()
    for t in range(env.scenario.episode_requests):
        action = policy(t)
        session = info["session"]
        known = env.simulator.tables["sessions"][session].copy()
        before = observation
        observation, _, terminated, truncated, info = env.step(action)
        sent += action < m
        if terminated or truncated:
            break
        assert observation[places["n_sent"]].sum() == sent
        if action == m:
            for name in ("inflight", "waiting", "prefill"):
                assert (observation[places[name]] <= before[places[name]]).all()
            assert observation[env.layout.request("route_gap")] == pytest.approx(info["dt"], rel=1e-5)
            for name in ("arrived_ps", "worker", "request", "turns"):
                assert env.simulator.tables["sessions"][session][name] == known[name]
    rows = env.finished(0)
    numbers = rows[rows[:, 0] >= 0, 0]
    taken = [t for t in range(env.scenario.episode_requests) if policy(t) == m]
    assert not set(numbers) & set(taken)  # decisions are numbered as they were taken


@pytest.mark.parametrize("scenario", ["gsp-stable", "failover"])
@pytest.mark.parametrize("name", AGENTS)
def test_agents_that_do_not_refuse_play_as_without_it(name, scenario):
    runs = []
    for admission in (False, True):
        agent = make_agent(name)
        env = make(scenario, observation=agent.observation, admission=admission)
        observation, info = env.reset(seed=3)
        agent.reset(env, 3)
        over = False
        while not over:
            observation, _, terminated, truncated, info = env.step(agent.act(observation, info))
            over = terminated or truncated
        runs.append((env.simulator.records().tobytes(), info["episode_metrics"]["J"]))
    assert runs[0] == runs[1]


def test_illegal_actions_stand_for_legal_ones():
    env = admitting("failover", {"faults": {"schedule": [{"kind": "crash", "worker": 0, "time_s": 0.0}]}})
    _, info = env.reset(seed=0)
    m = env.layout.n_workers
    assert info["action_mask"].tolist() == [0] + [1] * m
    env.step(0)  # legal[0 mod M]
    assert env.n_invalid == 1 and env.simulator.tables["progress"]["worker"][env.scenario.warmup_requests] == 1


def test_shuffled_workers_leave_the_refusal_in_its_place():
    env, plain = ShuffleWorkers(admitting()), admitting()
    m = plain.layout.n_workers
    env.reset(seed=4)
    plain.reset(seed=4)
    for t in range(20):
        action = m if t % 3 == 0 else t % m
        shown = env.step(action)
        bare = plain.step(action if action == m else int(env.order[action]))
        assert shown[1:4] == bare[1:4]


def test_moving_pages_failing_workers_and_refusals():
    env = admitting(more={**MOVING, "recipe_args": {"lengths": [512, 1024, 2048]}})
    one, two = (digest(play(env, now_and_then(env), seed=2)) for _ in range(2))
    assert one == two
    metrics = env.episode_metrics()
    assert metrics["refused"] > 0 and metrics["returns"] > 0 and metrics["fetched_tokens"] > 0


def test_pictures_and_texts_say_who_was_refused():
    env = admitting(render_mode="ansi")
    env.reset(seed=0)
    assert "refused" not in env.render()
    env.step(env.layout.n_workers)
    assert env.render().splitlines()[0].endswith(", 1 refused")
    pytest.importorskip("pygame")
    picture = admitting(render_mode="rgb_array")
    picture.reset(seed=0)
    before = picture.render()
    picture.step(env.layout.n_workers)
    assert picture.render().shape == before.shape


OVERLOAD = small(
    "gsp-stable",
    workers=[{"kv_tokens": 40_000, "cost": {"c0": 20.0, "k": 0.1}, "count": 2}],
    recipe_args={"rate": 10.0, "groups": 20, "prompts_per_group": 30},
    episode_requests=400,
    classes=[{"name": "chat", "slo_ttft_s": 2.0, "share": 1.0}],
    slo_tpot_s=0.0,
    refusal_cost_s=5.0,
)


def test_refusing_pays_in_overload():
    refuses, least_loaded, lpwl = (
        evaluate(make_agent(name), "gsp-stable", 0, overrides=OVERLOAD, split="train").metrics
        for name in ("early_rejection", "least_loaded", "lpwl")
    )
    assert refuses["refused"] > 30 and least_loaded["refused"] == 0
    assert refuses["J"] < 0.6 * min(least_loaded["J"], lpwl["J"])  # 2.9 s, the others 8.5 and 7.2
    assert refuses["slo_attainment"] > 4 * max(least_loaded["slo_attainment"], lpwl["slo_attainment"])


def test_who_may_refuse_for_nothing_is_not_scored():
    free = {"classes": [{"name": "chat", "refusal_cost_s": 1.0}, {"name": "batch"}]}
    for overrides in ({}, free):
        with pytest.raises(
            ValueError, match=r"EarlyRejection may refuse requests, which costs nothing .*(all|batch)\)"
        ):
            evaluate(make_agent("early_rejection"), "gsp-stable", 0, overrides=overrides, split="train")


def test_films_of_refusals():
    shown = film(make_agent("early_rejection"), "early_rejection", "gsp-stable", 0, overrides=OVERLOAD, split="train")
    refused = shown.requests["refused"]
    n = int((~np.isnan(refused)).sum())
    assert n == (shown.actions == len(shown.kv_pages)).sum() == shown.metrics["refused"] > 0
    (plain,) = json.loads(payload([shown]))["films"]
    assert plain["decisions"]["rules"] == ["refuse"]
    events = json.loads(trace(shown))["traceEvents"]
    assert sum(event["name"] == "refuse" for event in events) == n
