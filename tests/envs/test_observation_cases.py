"""Observations of a case small enough to work out by hand."""

import dataclasses

import pytest

from kvgym.cluster import EngineSpec, IterationCost, WorkerSpec
from tests.envs.token_scenarios import make_env, requests
from tests.sim.cases import Case

DAY_S = 86400.0
PREFIX = [1, 2, 3, 4, 5, 6, 7, 8]


def small_case(history_pages=None):
    """Every iteration takes 100 ms. Pages of 4 tokens, 10 on each worker."""
    return Case(
        requests((0, PREFIX, 3), (150, [*PREFIX, 9, 9], 1), (300, PREFIX, 1)),
        [WorkerSpec(10, IterationCost(c0=100.0, p=1.0)), WorkerSpec(5, IterationCost(c0=200.0, p=1.0))],
        EngineSpec(page_size=4, chunk_tokens=64, max_running=8),
        history_pages=history_pages,
    )


def observed(env, observation):
    return dict(zip(env.layout.names, observation.tolist(), strict=True))


def assert_shows(env, observation, **expected):
    """Compares some features: request ones by name, worker ones as w0_name."""
    shown = observed(env, observation)
    for name, value in expected.items():
        assert shown[name.replace("_", ".", 1) if name[:2] in ("w0", "w1") else name] == pytest.approx(value), name


def test_exact_view(monkeypatch):
    env = make_env(monkeypatch, small_case(), observation="physical")
    observation, _ = env.reset(seed=0)
    assert_shows(
        env, observation, prompt=8, turn=0, has_prev=0, session_gap=DAY_S, route_gap=0, rate_10s=0.1, remaining=1
    )
    assert_shows(env, observation, w0_up=1, w0_speed=1, w1_speed=0.5, w0_kv_size=1, w1_kv_size=0.5)
    assert_shows(env, observation, w0_match=0, w0_miss=8, w0_match_age=DAY_S, w0_active_with=8, w0_index_tokens=0)

    # At 150 ms request 0 has its first token (at 100 ms) and decodes its second one, which takes a third page.
    observation, *_ = env.step(0)
    assert_shows(env, observation, prompt=10, route_gap=0.15, rate_10s=0.2, rate_60s=2 / 60, remaining=2 / 3)
    assert_shows(env, observation, w0_match=8, w0_miss=2, w0_match_age=0.15, w0_is_prev=0, w0_index_tokens=8)
    assert_shows(env, observation, w0_inflight=1, w0_waiting=0, w0_n_sent=1, w0_prefill=0, w0_active_with=10)
    assert_shows(env, observation, w0_ttft_ewma=0.1 / 16, w0_tpot_ewma=0)
    assert_shows(env, observation, w0_queued=0, w0_running=1, w0_queued_tokens=0, w0_kv_use=0.3, w0_gen_tps=10)
    assert_shows(env, observation, w1_match=0, w1_miss=10, w1_match_age=DAY_S, w1_active_with=10, w1_kv_use=0)

    # At 300 ms request 0 ends, just before request 2 arrives; request 1 is in its prefill on worker 1 until 350 ms.
    observation, *_ = env.step(1)
    assert_shows(env, observation, prompt=8, route_gap=0.15, remaining=1 / 3)
    assert_shows(env, observation, w0_match=4, w0_miss=4, w0_match_age=0.3, w0_index_tokens=8, w0_inflight=0)
    assert_shows(env, observation, w0_active_with=8, w0_tpot_ewma=0.1 / 16, w0_running=0, w0_kv_use=0, w0_gen_tps=0)
    # The engine of worker 1 has none of the prompt yet.
    assert_shows(env, observation, w1_match=0, w1_match_age=DAY_S, w1_inflight=1, w1_waiting=1, w1_prefill=10)
    assert_shows(env, observation, w1_active_with=10, w1_running=1, w1_kv_use=0.6, w1_gen_tps=0, w1_index_tokens=0)

    observation, _, terminated, _, info = env.step(1)
    shown = observed(env, observation)
    assert terminated
    assert all(shown[name] == 0 for name in env.layout.names if "." not in name)
    assert_shows(env, observation, w0_n_sent=1, w1_n_sent=2, w1_inflight=0, w1_active_with=0, w1_index_tokens=8)
    # Request 1 from 150 to 350 ms, request 2 (arrived at 300 ms) from 350 to 550 ms.
    assert info["time"] == pytest.approx(0.55)
    assert_shows(env, observation, w1_ttft_ewma=0.2 / 16 * 15 / 16 + 0.25 / 16)


def test_history_view(monkeypatch):
    """The router knows at once what it sent, and forgets beyond its size: here one page per worker."""
    env = make_env(monkeypatch, small_case(history_pages=1), observation="physical")
    env.reset(seed=0)
    observation, *_ = env.step(1)
    assert_shows(env, observation, w0_match=0, w0_index_tokens=0, w1_match=4, w1_miss=6, w1_match_age=0.15)
    assert_shows(env, observation, w1_index_tokens=4, w1_waiting=1, w1_prefill=8)
    observation, *_ = env.step(1)
    assert_shows(env, observation, w1_prefill=6, w1_match=4, w1_match_age=0.15, w1_index_tokens=4)


def test_metrics_of_the_last_snapshot(monkeypatch):
    env = make_env(monkeypatch, small_case(), {"metrics_period_s": 0.2}, observation="physical")
    observation, _ = env.reset(seed=0)
    assert_shows(env, observation, w0_age=0, w0_sent_since_snapshot=0, w0_queued=0)
    observation, *_ = env.step(0)  # at 150 ms: the snapshot is that of 0, before anything arrived
    assert_shows(env, observation, w0_age=0.15, w0_running=0, w0_kv_use=0, w0_sent_since_snapshot=8)
    observation, *_ = env.step(1)  # at 300 ms: the snapshot is that of 200 ms
    assert_shows(env, observation, w0_age=0.1, w0_running=1, w0_kv_use=0.3, w0_gen_tps=10, w0_sent_since_snapshot=0)
    assert_shows(env, observation, w1_age=0.1, w1_running=1, w1_kv_use=0.6, w1_gen_tps=0, w1_sent_since_snapshot=0)
    observation, *_ = env.step(0)
    assert_shows(env, observation, w0_age=0)  # the end is at 400 ms


def test_the_window_of_a_rate_leaves_out_its_begin(monkeypatch):
    case = dataclasses.replace(small_case(), requests=requests((0, [7], 1), (10_000, [7], 1), (10_001, [8], 1)))
    env = make_env(monkeypatch, case, observation="physical")
    env.reset(seed=0)
    assert_shows(env, env.step(0)[0], rate_10s=0.1, rate_60s=2 / 60)
    assert_shows(env, env.step(0)[0], rate_10s=0.2, rate_60s=3 / 60)


def test_an_arrival_at_the_end_of_an_iteration(monkeypatch):
    """At 500 ms request 0 has 13 known tokens and 12 computed ones; it takes its fourth page when it goes on."""
    case = dataclasses.replace(small_case(), requests=requests((0, PREFIX, 9), (500, [7], 1), (510, [8], 1)))
    env = make_env(monkeypatch, case, observation="physical")
    env.reset(seed=0)
    observation, *_ = env.step(0)
    assert_shows(env, observation, w0_running=1, w0_kv_use=0.3, w0_gen_tps=0, w0_index_tokens=12)
    observation, *_ = env.step(1)  # 10 ms later the next iteration is running
    assert_shows(env, observation, w0_running=1, w0_kv_use=0.4, w0_gen_tps=10, w0_index_tokens=12)


def test_hints(monkeypatch):
    """sigma 0 shows the output lengths, None hides them, noise is the same for the same seed."""
    assert hints(monkeypatch, None) == [0, 0, 0]
    assert hints(monkeypatch, 0.0) == [3, 1, 1]
    assert hints(monkeypatch, 5.0) == hints(monkeypatch, 5.0) != [3, 1, 1]
    assert all(0 < hint < 2**31 for hint in hints(monkeypatch, 10.0))


def hints(monkeypatch, sigma):
    env = make_env(monkeypatch, small_case(), {"output_hint_sigma": sigma}, observation="physical")
    at = env.layout.request("output_hint")
    first, _ = env.reset(seed=0)
    return [float(first[at])] + [float(env.step(0)[0][at]) for _ in range(2)]
