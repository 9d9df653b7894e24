"""Episodes in which pages move and workers fail: masks, illegal actions, finished requests, rewards, metrics."""

import copy

import numpy as np
import pytest

from kvgym.cluster import Crash
from kvgym.scenarios import OBJECTIVES
from tests import often
from tests.envs.helpers import FORMS, MOVING, make_form, play, random_actions, steps, total_reward
from tests.envs.spy import make_agent
from tests.envs.test_rewards import counted_records, ends_and_price

ROUTING = ("route", "joint", "joint-leaf")
MORE = {**MOVING, "recipe_args": {"prompts_per_group": 9}, "warmup_requests": 4, "episode_requests": 60}


def make(form, more=None, scenario="gsp-stable", **kwargs):
    return make_form(form, scenario, {**MORE, **(more or {})}, **kwargs)


def up_from_schedule(env):
    """Which workers are up at the decision that is due, by the episode's schedule alone."""
    seed = env.scenario.seeds(env.np_random_seed, env.split, env._episode)[0]
    now = int(env.simulator.tables["clock"]["now_ps"][0])
    crashes = [fault for fault in env.scenario.fault_schedule(seed) if isinstance(fault, Crash)]
    down = {crash.worker for crash in crashes if crash.start_ps <= now < crash.end_ps}
    return [w not in down for w in range(env.layout.n_workers)]


@pytest.mark.parametrize("form", ROUTING)
def test_masks_exclude_workers_that_are_down(form):
    env = make(form)
    n, excluded = 3, 0
    for seed in (0, None, None):
        for observation, _, terminated, _, info in steps(env, random_actions(env), seed=seed):
            mask = info["action_mask"]
            assert mask.dtype == np.int8 and mask.tolist() == env.action_masks().tolist()
            if terminated:
                assert mask.all()
                continue
            up = up_from_schedule(env)
            assert observation[env.layout.workers("up")].tolist() == up
            if env.simulator.tables["clock"]["asking"] >= 0:
                slots = env.simulator.candidates()["valid"].tolist()
                assert mask.tolist() == [0] * n + slots
                continue
            rest = {"route": [], "joint": [1] * len(getattr(env, "rules", ())), "joint-leaf": [0] * 16}[form]
            assert mask.tolist() == up + rest
            excluded += not all(up)
    assert excluded > 10


@often.cases(6)
@pytest.mark.parametrize("form", ROUTING)
def test_a_worker_that_is_down_stands_for_one_that_is_up(form, cases):
    env = make(form)
    found = 0
    for seed in range(cases):
        env.reset(seed=seed)
        rng, done, invalid = np.random.default_rng(seed), False, 0
        while not done:
            mask = env.action_masks()
            routing = bool(env.simulator.tables["clock"]["request"] >= 0)
            legal = np.flatnonzero(mask[:3] if routing else mask)
            action = int(rng.choice(legal))
            if routing and not mask[:3].all():
                action, twin = int(rng.choice(np.flatnonzero(~mask[:3]))), copy.deepcopy(env)
                stands_for = int(legal[action % len(legal)])
                pair = [(action, 2), (stands_for, 2)] if form == "joint" else [action, stands_for]
                a, b = env.step(pair[0]), twin.step(pair[1])
                found, invalid = found + 1, invalid + 1
                assert (env.n_invalid, twin.n_invalid) == (invalid, invalid - 1)
                assert a[0].tolist() == b[0].tolist() and a[1:4] == b[1:4]
                assert env.simulator.tables["progress"]["worker"].tolist() == (
                    twin.simulator.tables["progress"]["worker"].tolist()
                )
                done = a[2]
            else:
                done = env.step((action, 2) if form == "joint" else action)[2]
        assert env.n_invalid == invalid
    assert found > 10
    env.reset()
    assert env.n_invalid == 0


@pytest.mark.parametrize("form", ROUTING)
def test_finished_says_which_decision_sent_it_there(form):
    """A request that came back is credited to its last decision."""
    env, returned = make(form), 0
    for seed in range(3):
        sent = {}  # per request its last decision
        env.reset(seed=seed)
        rows, number, policy, done, t = [env.finished()], 0, random_actions(env), False, 0
        while not done:
            q = int(env.simulator.tables["clock"]["request"][0])
            _, _, done, _, _ = env.step(policy(t))
            if q >= 0:
                returned += q in sent
                sent[q] = number
                number += 1
            rows.append(env.finished())
            t += 1
        rows = np.concatenate(rows)
        records = env.simulator.records()
        order = env.simulator.tables["finished"][: len(records)].tolist()
        assert len(rows) == len(records)  # each once, those of the warm-up included
        assert rows[:, 4].tolist() == records["finish"][order].tolist()
        assert rows[:, 1].tolist() == records["worker"][order].tolist()
        counted = [(row[0], q) for row, q in zip(rows, order, strict=True) if row[0] >= 0]
        assert len(counted) == 60
        assert [decision for decision, _ in counted] == [sent[q] for _, q in counted]
    assert returned > 10


@pytest.mark.parametrize("reward", OBJECTIVES)
@pytest.mark.parametrize("form", FORMS)
def test_rewards_are_latencies(form, reward):
    env, returns = make(form, {"reward_scale_s": 3.7}, reward=reward), 0
    for seed in range(3):
        episode = play(env, seed=seed)
        records = counted_records(env)
        ends, price = ends_and_price(env, reward)
        latency = (np.sum(ends - records["arrival"]) + price) / 60
        assert len(records) == 60
        assert total_reward(episode) * 3.7 / 60 == pytest.approx(-latency, rel=1e-9)
        metrics = episode[-1][4]["episode_metrics"]
        assert metrics["n"] == 60
        assert metrics["refused"] > 0 or metrics[f"{reward}_mean"] == pytest.approx(latency)
        returns += metrics["returns"]
    assert returns > 0


@pytest.mark.parametrize("form", ROUTING)
def test_truncated_episodes_charge_what_is_in_the_system(form):
    env = make(form, horizon="truncate")
    episode = play(env, seed=1)
    assert episode[-1][2:4] == (False, True)
    records = counted_records(env)
    latency = np.fmin(records["finish"], episode[-1][4]["time"]) - records["arrival"]
    assert total_reward(episode) * env.scenario.reward_scale_s == pytest.approx(-latency.sum(), rel=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_metrics_of_what_moved_and_failed(form):
    env, found = make(form), np.zeros(5)
    for seed in range(3):
        metrics = play(env, seed=seed)[-1][4]["episode_metrics"]
        counted, traffic = counted_records(env), env.simulator.traffic()
        counted = counted[~np.isnan(counted["finish"])]  # all but the refused ones
        assert metrics["returns"] == counted["returns"].sum()
        assert metrics["fetched_tokens"] == counted["fetched_tokens"].sum()
        assert metrics["busy_s"] == pytest.approx(env.simulator.totals()["busy"].sum())
        assert metrics["given_up"] == traffic["given_up"].sum()
        for kind, pairs in (("inside", [(0, 1), (1, 0)]), ("between", [(0, 2), (2, 0), (1, 2), (2, 1)])):
            rows = [row for row in traffic if (row["source"], row["target"]) in pairs]
            link = env.scenario.cluster.network.inside if kind == "inside" else env.scenario.cluster.network.between
            moved = sum(int(row["tokens"]) for row in rows) * 1000
            n = sum(int(row["transfers"]) for row in rows)
            assert metrics[f"{kind}_gb"] == pytest.approx(moved / 1e9)
            assert metrics[f"{kind}_s"] == pytest.approx(n * link.latency_s + moved / link.bytes_per_s, abs=n * 1e-12)
        names = ("returns", "fetched_tokens", "inside_gb", "between_gb", "given_up")
        found += [metrics[name] for name in names]
    assert (found[:3] > 0).all()


@pytest.mark.parametrize("form", FORMS)
def test_they_are_zero_where_nothing_moves_or_fails(form):
    metrics = play(make_form(form), seed=0)[-1][4]["episode_metrics"]
    for name in ("returns", "fetched_tokens", "inside_gb", "inside_s", "between_gb", "between_s", "given_up"):
        assert metrics[name] == 0.0
    assert metrics["busy_s"] > 0


@pytest.mark.parametrize("form", FORMS)
def test_a_schedule_without_faults_and_a_network_alone_change_nothing(form):
    plain = make_form(form, "gsp-stable", {"workers": MOVING["workers"]})
    quiet = {"workers": MOVING["workers"], "network": MOVING["network"], "faults": {"schedule": []}}
    late = {"faults": {"schedule": [{"kind": "crash", "worker": 0, "time_s": 1e5, "down_s": 1.0}]}}
    shown = play(plain, seed=0)
    for more in (quiet, {**quiet, **late}):
        again = play(make_form(form, "gsp-stable", more), seed=0)
        assert [step[0].tolist() for step in again] == [step[0].tolist() for step in shown]
        assert [step[1:4] for step in again] == [step[1:4] for step in shown]


def test_a_router_behind_an_adapter_is_served_as_in_route():
    """It sends to the workers in turn, masked or not: one that is down stands for one that is up, in both."""
    returns = 0
    for seed in range(5):
        env = make("evict-rule", router="tests.envs.spy:physical", rules=["lru", "fifo"])
        play(env, lambda t: 0, seed=seed)
        route = make("route", evictor="lru", observation="physical")
        spy = make_agent("physical")
        (observation, info), done = route.reset(seed=seed), False
        spy.reset(route, seed)
        while not done:
            observation, _, done, _, info = route.step(spy.act(observation, info))
        assert env.simulator.records().tobytes() == route.simulator.records().tobytes()
        assert route.n_invalid > 0
        returns += env.simulator.records()["returns"].sum()
    assert returns > 0
