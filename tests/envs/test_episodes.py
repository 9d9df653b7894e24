"""Seeds and episodes: what is played depends on the seed, the split and the episode's number alone."""

import numpy as np
import pytest

from kvgym.scenarios import SPLITS
from kvgym.sim import EVICTORS
from tests.envs.helpers import SMALL, digest, make, play, random_policy

TIGHT = {
    "recipe_args": {"lengths": [512, 2048]},
    "workers": [{"kv_tokens": 4096, "cost": {"c0": 20.0, "k": 0.1}}] * 3,
    "engine": {"page_size": 16},
}


def arrivals(env):
    return env.simulator.records()["arrival"].tolist()


@pytest.mark.parametrize("scenario", SMALL)
def test_an_episode_depends_on_seed_and_number_only(scenario):
    env = make(scenario)
    play(env, seed=99)  # something else before
    first = [digest(play(env, seed=4)), *(digest(play(env)) for _ in range(3))]
    assert len(set(first)) == 4
    env.reset()
    env.step(0)  # an episode that is given up counts as one
    other = make(scenario)
    other.reset(seed=4)
    assert [digest(play(other)) for _ in range(3)] == first[1:]
    assert digest(play(env, seed=4)) == first[0]
    assert digest(play(env, seed=5)) != first[0]


def test_without_any_seed_environments_differ():
    assert digest(play(make())) != digest(play(make()))


@pytest.mark.parametrize("evictor", EVICTORS)
def test_two_environments_are_bit_equal(evictor):
    a, b = (make("gsp-stable", TIGHT, evictor=evictor) for _ in range(2))
    assert digest(play(a, seed=1)) == digest(play(b, seed=1))
    assert a.simulator.totals()["evicted"].sum() > 0
    assert a.simulator.records().tobytes() == b.simulator.records().tobytes()


@pytest.mark.parametrize("scenario", sorted(set(SMALL) - {"multi-turn", "multi-node-agents"}))
def test_arrivals_do_not_depend_on_actions(scenario):
    """Open loop; in the closed loops of the others they do, and the requests are the same all the same."""
    env = make(scenario)
    played = []
    for policy in (lambda t: 0, random_policy(env.action_space.n, 1)):
        play(env, policy, seed=3)
        played.append(arrivals(env))
    assert played[0] == played[1]


def test_workload_and_policy_seeds():
    env = make("gsp-stable", TIGHT, evictor="random")
    plain = digest(play(env, seed=3))
    workload, finish = env.workload.content_hash(), env.simulator.records()["finish"].tolist()

    assert digest(play(env, seed=3, options={})) == plain
    assert digest(play(env, seed=8, options={"workload_seed": 3, "policy_seed": 3})) == plain
    play(env, seed=3, options={"policy_seed": 4})
    assert env.workload.content_hash() == workload
    assert env.simulator.records()["finish"].tolist() != finish  # other pages were evicted
    play(env, seed=3, options={"workload_seed": 4})
    assert env.workload.content_hash() != workload


@pytest.mark.parametrize("seed", [2**40, 2**200, np.int64(5)])
def test_seed_options_may_be_large_or_of_numpy(seed):
    env = make()
    assert digest(play(env, seed=0, options={"workload_seed": seed, "policy_seed": seed})) == digest(
        play(env, seed=1, options={"workload_seed": int(seed), "policy_seed": int(seed)})
    )


@pytest.mark.parametrize("scenario", SMALL)
def test_splits_and_seeds_share_no_workload(scenario):
    seen = {}
    for split in SPLITS:
        env = make(scenario, split=split)
        for seed in range(8):
            for episode in range(3):
                env.reset(seed=seed if episode == 0 else None)
                where = (split, seed, episode)
                assert seen.setdefault(env.workload.content_hash(), where) == where
    assert len(seen) == len(SPLITS) * 8 * 3


@pytest.mark.parametrize(("router", "workers"), [("round_robin", [0, 1, 2, 3, 0, 1]), ("random", None)])
def test_the_warmup_is_played_by_its_router_and_not_counted(router, workers):
    env = make(more={"warmup_router": router, "warmup_requests": 6, "episode_requests": 20})
    episode = play(env, lambda t: 2, seed=0)
    assert len(episode) == 1 + 20
    records = env.simulator.records()
    assert len(records) == 26
    assert (records["worker"][6:] == 2).all()
    if workers:
        assert records["worker"][:6].tolist() == workers
    assert set(records["worker"][:6]) != {2}
    assert episode[0][4]["time"] == records["arrival"][6]
    assert episode[-1][4]["episode_metrics"]["n"] == 20


@pytest.mark.parametrize("horizon", ["drain", "truncate"])
@pytest.mark.parametrize("scenario", SMALL)
def test_the_number_of_decisions(scenario, horizon):
    env = make(scenario, {"episode_requests": 20, "warmup_requests": 5}, horizon=horizon)
    decisions = len(play(env, seed=0)) - 1
    # One for each request, and one more each time that a request comes back.
    progress = env.simulator.tables["progress"]
    returns = progress["returns"][(progress["arrived_ps"] >= 0) & (progress["decision"] >= 0)].sum()
    assert returns == 0 or scenario == "failover"
    assert decisions == 20 + returns if horizon == "drain" else decisions >= 20


def test_drain_plays_to_the_last_finish():
    env = make(more={"episode_requests": 20, "warmup_requests": 0})
    episode = play(env, seed=0)
    assert episode[-1][2:4] == (True, False)
    records = env.simulator.records()
    assert len(records) == 20
    assert episode[-1][4]["time"] == records["finish"].max()


def test_truncate_stops_at_the_next_arrival():
    env = make(more={"episode_requests": 20, "warmup_requests": 4}, horizon="truncate")
    episode = play(env, seed=0)
    assert episode[-1][2:4] == (False, True)
    assert episode[-1][4]["time"] == env.workload.requests["arrival_ps"][24] * 1e-12
    records = env.simulator.records()
    assert len(records) == 24
    assert np.isnan(records["finish"]).any()


def test_truncate_terminates_where_no_request_follows():
    """All 48 requests of the workload are played: the episode drains, as a real end does."""
    for scenario in ("gsp-stable", "multi-turn"):
        n = 48 if scenario == "gsp-stable" else 36
        env = make(scenario, {"episode_requests": n, "warmup_requests": 0}, horizon="truncate")
        episode = play(env, seed=0)
        assert episode[-1][2:4] == (True, False)
        assert not np.isnan(env.simulator.records()["finish"]).any()


def test_truncated_and_drained_episodes_agree_up_to_the_last_decision():
    long, short = (
        play(make(more={"episode_requests": 20}, horizon=horizon), seed=1) for horizon in ("drain", "truncate")
    )
    assert digest(long[:-1]) == digest(short[:-1])
