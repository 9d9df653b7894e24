import hashlib

import gymnasium as gym
import numpy as np
import pytest

import kvgym  # noqa: F401  registers the environment
from agents import make_agent
from kvgym.evaluation import play, play_all

SHORT = {"warmup_requests": 20, "episode_requests": 100}


def test_a_record_is_what_the_environment_says(players):
    record = play(players.Turns(), "gsp-stable", 7, overrides=SHORT, evictor="rlt")
    env = gym.make("KVGym/Route-v0", scenario="gsp-stable", scenario_overrides=SHORT, evictor="rlt", split="test")
    env.reset(seed=7)
    actions, total, over = [], 0.0, False
    while not over:
        actions.append(len(actions) % 4)
        _, reward, over, _, info = env.step(actions[-1])
        total += reward
    assert record.metrics == info["episode_metrics"]
    assert info["episode_metrics"]["J"] == record.J
    assert -total * env.unwrapped.scenario.reward_scale_s / 100 == pytest.approx(record.J, rel=1e-9)
    assert record.n_actions == 100
    assert record.actions_sha256 == hashlib.sha256(",".join(map(str, actions)).encode()).hexdigest()
    assert record.workload_sha256 == env.unwrapped.workload.content_hash()
    assert (record.seed, record.n_invalid, record.n_dropped, record.oracle) == (7, 0, 0, False)


def test_the_same_seed_gives_the_same_episode_and_another_seed_another(players):
    first, again = (play(players.Turns(), "multi-turn", 3, evictor="random") for _ in range(2))
    other = play(players.Turns(), "multi-turn", 4, evictor="random")
    assert (first.metrics, first.actions_sha256) == (again.metrics, again.actions_sha256)
    assert first.workload_sha256 == again.workload_sha256 != other.workload_sha256


def test_splits_have_workloads_of_their_own(players):
    hashes = {
        play(players.First(), "sanity", seed, split=split).workload_sha256
        for split in ("train", "validation", "test")
        for seed in range(5)
    }
    assert len(hashes) == 15


def test_the_evictor_is_the_scenarios_own_unless_named(players):
    own, node, page = (play(players.Turns(), "gsp", 0, evictor=evictor).J for evictor in (None, "lru_node", "lru"))
    assert own == node != page


def test_only_time_inside_act_is_decision_time(players):
    slow = play(players.Slow(), "sanity", 0, overrides=SHORT)
    fast = play(players.First(), "sanity", 0, overrides=SHORT)
    assert slow.decision_us > 200 > fast.decision_us > 0
    assert 0 < slow.env_s < 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [(0.5, "act.. must return the index of an action, got 0.5"), (None, "got None"), (2, "0 to 1"), (-1, "0 to 1")],
)
def test_an_answer_that_is_no_worker_is_an_error(players, answer, message):
    with pytest.raises(ValueError, match=message):
        play(players.Says(answer), "sanity", 0, overrides=SHORT)


def test_an_answer_may_be_a_numpy_integer(players):
    assert play(players.Says(np.int64(1)), "sanity", 0, overrides=SHORT).n_actions == 100


def test_masked_actions_are_counted(players):
    """Worker 0 is down from the start."""
    down = {**SHORT, "faults": {"schedule": [{"kind": "crash", "worker": 0, "time_s": 0.0}]}}
    for kind, expected in ((players.First, 100), (players.Turns, 50)):
        assert play(kind(), "sanity", 0, overrides=down).n_invalid == expected


PAGED = {"warmup_requests": 50, "episode_requests": 600}


def test_an_agent_that_evicts_plays_evict_v0(players):
    record = play(make_agent("lru"), "gsp-stable", 3, overrides=PAGED, router="agents:lbgr_code")
    env = gym.make(
        "KVGym/Evict-v0",
        scenario="gsp-stable",
        scenario_overrides=PAGED,
        router="agents:lbgr_code",
        candidates=2,
        observation="physical",
        split="test",
    )
    env.reset(seed=3)
    steps, over = 0, False
    while not over:
        _, _, over, _, info = env.step(0)
        steps += 1
    assert (record.n_actions, record.metrics) == (steps, info["episode_metrics"])
    assert steps > 100


def test_empty_slots_are_counted(players):
    class LastSlot(players.First):
        environment = "KVGym/Evict-v0"
        env_kwargs = {"candidates": 512}  # noqa: RUF012

        def act(self, observation, info):
            empty.append(info["action_mask"][-1] == 0)
            return 511

    empty = []
    record = play(LastSlot(), "multi-turn", 0)
    assert record.n_invalid == sum(empty) > 0


def test_an_episode_without_an_eviction_has_one_action(players):
    record = play(make_agent("random_leaf"), "long-doc", 0, overrides=SHORT)
    assert (record.n_actions, record.n_invalid) == (1, 0)
    assert record.J == play(make_agent("least_loaded"), "long-doc", 0, overrides=SHORT).J


def test_pairs_of_worker_and_rule_are_actions(players):
    class Both(players.First):
        environment = "KVGym/Joint-v0"

        def act(self, observation, info):
            return np.array([1, 2])

    record = play(Both(), "gsp-stable", 0, overrides=SHORT)
    assert (record.n_actions, record.n_invalid) == (100, 0)
    assert record.actions_sha256 == hashlib.sha256(",".join(["(1, 2)"] * 100).encode()).hexdigest()


@pytest.mark.parametrize("answer", [3, (1,), (0.5, 1), None])
def test_what_is_no_pair_is_an_error(players, answer):
    agent = players.Says(answer)
    agent.environment = "KVGym/Joint-v0"
    with pytest.raises(ValueError, match=r"act.. must return a worker and the number of a rule, got"):
        play(agent, "sanity", 0, overrides=SHORT)


def test_the_hash_of_many_actions_is_that_of_all(players, monkeypatch):
    whole = play(players.Turns(), "sanity", 0, overrides=SHORT).actions_sha256
    monkeypatch.setattr("kvgym.evaluation.episode._PART", 7)
    assert play(players.Turns(), "sanity", 0, overrides=SHORT).actions_sha256 == whole


def test_seeds_become_columns(players):
    found = play_all(players.Turns, "sanity", range(2), overrides={"episode_requests": 100})
    each = [play(players.Turns(), "sanity", seed, overrides={"episode_requests": 100}).metrics for seed in range(2)]
    assert found.keys() == each[0].keys()
    assert found["J"].tolist() == [metrics["J"] for metrics in each]
    with pytest.raises(ValueError, match=r"seeds must hold at least one seed, got range\(0, 0\)"):
        play_all(players.Turns, "sanity", range(0))
