"""Load and affinity rules against hand-computed decisions."""

import pytest

from agents import AGENTS, make_agent
from tests.agents.fakes import FakeEnv, started


def choice(agent, env, mask=None, time=0.0, request=None, **workers):
    return agent.act(env.observation(request={"prompt": 100, **(request or {})}, **workers), env.info(time, mask))


def test_random_is_uniform_over_legal_workers():
    env = FakeEnv(4)
    agent = started(make_agent("random"), env)
    drawn = [choice(agent, env, mask=[1, 0, 1, 1]) for _ in range(3000)]
    assert set(drawn) == {0, 2, 3}
    assert all(900 < drawn.count(worker) < 1100 for worker in (0, 2, 3))


def test_round_robin_takes_turns_and_passes_over_a_worker_that_is_down():
    env = FakeEnv(3)
    agent = started(make_agent("round_robin"), env)
    assert [choice(agent, env) for _ in range(4)] == [0, 1, 2, 0]
    assert choice(agent, env, mask=[1, 0, 1]) == 2
    assert choice(agent, env) == 0


@pytest.mark.parametrize(
    ("inflight", "mask", "expected"),
    [([3, 1, 2], None, 1), ([2, 1, 1], None, 1), ([0, 0, 0], None, 0), ([3, 1, 2], [1, 0, 1], 2)],
)
def test_least_loaded(inflight, mask, expected):
    env = FakeEnv(3)
    assert choice(started(make_agent("least_loaded"), env), env, mask=mask, inflight=inflight) == expected


def test_power_of_two_never_takes_the_fullest_and_breaks_ties_evenly():
    env = FakeEnv(3)
    agent = started(make_agent("power_of_two"), env)
    drawn = [choice(agent, env, inflight=[5, 9, 1]) for _ in range(3000)]
    # Worker 2 wins the two of three pairs that it is in, worker 0 the pair (0, 1).
    assert drawn.count(1) == 0
    assert 1900 < drawn.count(2) < 2100
    drawn = [choice(agent, env, inflight=[1, 1, 1]) for _ in range(3000)]
    assert all(900 < drawn.count(worker) < 1100 for worker in range(3))


def test_power_of_two_with_one_legal_worker():
    env = FakeEnv(3)
    agent = started(make_agent("power_of_two"), env)
    assert {choice(agent, env, mask=[0, 1, 0], inflight=[0, 9, 0]) for _ in range(20)} == {1}


@pytest.mark.parametrize(
    ("is_prev", "mask", "expected"), [([0, 0, 1], None, 2), ([0, 0, 0], None, 1), ([0, 0, 1], [1, 1, 0], 1)]
)
def test_session_affinity(is_prev, mask, expected):
    env = FakeEnv(3)
    agent = started(make_agent("session_affinity"), env)
    assert choice(agent, env, mask=mask, is_prev=is_prev, inflight=[4, 3, 9]) == expected


def test_llmd_adds_its_three_scores():
    env = FakeEnv(3)
    # 160 tokens = 10 blocks. Scores: 3 x 0.8 + 2 x 0 + 2 x 0.1 = 2.6; 0 + 2 x 1 + 2 x 0.4 = 2.8; 0.6 + 1 + 1 = 2.6.
    state = {"request": {"prompt": 160}, "match": [128, 0, 32], "queued": [4, 0, 2], "kv_use": [0.9, 0.6, 0.5]}
    assert choice(started(make_agent("llmd_scenario"), env), env, **state) == 1
    # 1/1/1: 0.8 + 0 + 0.1 = 0.9; 0 + 1 + 0.4 = 1.4; 0.2 + 0.5 + 0.5 = 1.2. Prefix alone: worker 0.
    assert choice(started(make_agent("llmd_scenario", prefix=1, queue=1, kv=1), env), env, **state) == 1
    assert choice(started(make_agent("llmd_scenario", prefix=2, queue=1, kv=1), env), env, **state) == 0
    # Without worker 1 the queue scores stay (0 and 1 instead of 0 and 0.5): 2.6 against 0.6 + 2 + 1.
    assert choice(started(make_agent("llmd_scenario"), env), env, mask=[1, 0, 1], **state) == 2


def test_llmd_counts_whole_blocks_up_to_a_limit_and_draws_among_equals():
    env = FakeEnv(2)
    agent = started(make_agent("llmd_scenario"), env)
    # 15 matched tokens are no block.
    for prompt in (160, 15):
        drawn = [choice(agent, env, request={"prompt": prompt}, match=[15, 0]) for _ in range(400)]
        assert 150 < drawn.count(0) < 250
    # Both hold the 256 blocks that are compared.
    drawn = [choice(agent, env, request={"prompt": 8192}, match=[4096, 8000]) for _ in range(400)]
    assert 150 < drawn.count(0) < 250


def test_dynamo_cost_in_blocks():
    env = FakeEnv(3)
    agent = started(make_agent("dynamo", active_request=0.5), env)
    observation = env.observation(
        request={"prompt": 160},
        match=[128, 0, 0],
        prefill=[320, 0, 16],
        active_with=[480, 160, 320],
        inflight=[2, 1, 0],
    )
    # (320 + 160) / 16 - 8 + 30 + 1; 160 / 16 + 10 + 0.5; 176 / 16 + 20.
    assert agent.costs(observation, env.info()).tolist() == [53.0, 20.5, 31.0]
    assert agent.act(observation, env.info()) == 1
    assert agent.act(observation, env.info(mask=[1, 0, 1])) == 2
    # Backlog above the least: 320 / 16 blocks over the prompt's 10: the credit of 8 is divided by 1 + 0.5 x 2.
    assert started(make_agent("dynamo", credit_decay=0.5), env).costs(observation, env.info())[0] == 30 - 4 + 30
    assert started(make_agent("dynamo", credit=2.0, scale=0.5), env).costs(observation, env.info())[0] == 7 + 30


def test_dynamo_never_credits_more_than_the_prefill():
    env = FakeEnv(1)
    agent = started(make_agent("dynamo", credit=3.0), env)
    observation = env.observation(request={"prompt": 160}, match=[144], active_with=[160])
    assert agent.costs(observation, env.info()) == [10.0]


def test_dynamo_credits_whole_blocks():
    env = FakeEnv(2)
    observation = env.observation(request={"prompt": 160}, match=[31, 15])
    assert started(make_agent("dynamo"), env).costs(observation, env.info()).tolist() == [9.0, 10.0]


def test_dynamo_temperature_draws_by_exponential_weights():
    env = FakeEnv(2)
    agent = started(make_agent("dynamo", temperature=1.0), env)
    drawn = [choice(agent, env, active_with=[100, 200]) for _ in range(4000)]
    assert drawn.count(0) / 4000 == pytest.approx(1 / (1 + 2.718281828**-1), abs=0.03)
    drawn = [choice(agent, env, active_with=[100, 100]) for _ in range(1000)]
    assert 400 < drawn.count(0) < 600


def test_lmetric_multiplies():
    env = FakeEnv(3)
    agent = started(make_agent("lmetric"), env)
    state = {"miss": [10, 100, 50], "prefill": [100, 0, 0], "inflight": [1, 1, 4]}
    assert choice(agent, env, **state) == 1  # 110 x 2, 100 x 2, 50 x 5
    assert choice(agent, env, mask=[1, 0, 1], **state) == 0
    assert choice(agent, env, miss=[10, 5, 5], inflight=[0, 1, 1]) == 0  # 10, 10, 10


def test_lpwl_adds_and_breaks_ties_by_load_then_in_turn():
    env = FakeEnv(3)
    agent = started(make_agent("lpwl"), env)
    assert choice(agent, env, miss=[10, 100, 50], prefill=[100, 0, 0]) == 2
    assert choice(agent, env, miss=[50, 50, 50], inflight=[1, 0, 1]) == 1
    assert [choice(agent, env, miss=[50, 50, 50]) for _ in range(3)] == [2, 0, 1]
    assert choice(agent, env, mask=[1, 1, 0], miss=[50, 50, 0]) == 0


@pytest.mark.parametrize("name", AGENTS)
def test_a_worker_that_is_down_is_never_chosen(name):
    env = FakeEnv(4)
    agent = started(make_agent(name), env, seed=3)
    for step in range(200):
        mask = [1, 1, 1, 1]
        mask[step % 4] = 0
        mask[(step // 4) % 4] = 0
        env.pages = [100 * (step % 5) + page for page in range(50)] + [1000 * step + 1000 + page for page in range(50)]
        tempting = [0.0 if allowed else 60.0 for allowed in mask]
        observation = env.observation(
            request={"prompt": 100},
            match=tempting,
            miss=[100 - hit for hit in tempting],
            is_prev=[float(hit > 0) for hit in tempting],
            inflight=[2.0 * allowed for allowed in mask],
            active_with=[1.0 + 100 * allowed for allowed in mask],
        )
        assert mask[agent.act(observation, env.info(0.1 * step, mask))], step


@pytest.mark.parametrize("name", AGENTS)
def test_the_same_seed_gives_the_same_decisions(name):
    def decisions(seed):
        env = FakeEnv(4)
        agent = started(make_agent(name), env, seed)
        out = []
        for step in range(100):
            env.pages = [1000 * (step % 7) + page for page in range(60)] + [
                10000 * (step + 1) + page for page in range(40)
            ]
            out.append(choice(agent, env, time=0.01 * step, miss=[100.0] * 4))
        # Playing again after a reset starts afresh.
        env.pages = []
        first = started(agent, env, seed)
        return out, choice(first, env)

    assert decisions(5) == decisions(5)
    if name in ("random", "power_of_two", "llmd", "dynamo"):
        assert decisions(5) != decisions(6)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("llmd", {"prefix": -1}, "prefix must be a finite number >= 0, got -1"),
        ("llmd", {"block_tokens": 0}, "block_tokens must be an integer >= 1, got 0"),
        ("dynamo", {"temperature": float("nan")}, "temperature must be a finite number >= 0"),
        ("cache_aware", {"threshold": 1.5}, "threshold must be a finite number from 0 to 1, got 1.5"),
        (
            "cache_aware",
            {"variant": "old"},
            "variant must be one of sglang-0.4, sglang-router-0.3.2, smg-1.13, smg-struct; got 'old'",
        ),
        ("cache_aware", {"on_miss": "random"}, "on_miss must be one of smallest_tree, least_loaded"),
        ("cache_aware", {"trim_period_s": 0}, "trim_period_s must be > 0"),
        ("lbgr", {"rho": 1.5}, "rho must be a finite number from 0 to 1, got 1.5"),
        ("lbgr", {"bound": -0.1}, "bound must be a finite number >= 0"),
        ("lbgr", {"bias": 1}, "bias must be True or False, got 1"),
        ("lbgr_code", {"decay_numerator": 40}, "decay_denominator must be an integer >= 41, got 32"),
        ("lbgr_code", {"forgetting": 0.0}, "forgetting must be a finite number from"),
        ("random", {"p": 1}, "arguments of agent 'random'"),
    ],
)
def test_arguments_are_checked(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_agent(name, **arguments)
