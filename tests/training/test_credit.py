"""Evictions are charged with what has to be computed again for them."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sb3_contrib", reason="needs the extra train")

import kvgym
from agents.learned.credit import Credit, _Evicted

OVERRIDES = {"episode_requests": 900, "warmup_requests": 100}


def batch(n: int, **more: Any) -> Any:
    envs = kvgym.make_vec("KVGym/Evict-v0", n, autoreset_mode="SameStep", scenario_overrides=OVERRIDES, **more)
    return envs.unwrapped


def rows(*numbers: int) -> np.ndarray[Any, Any]:
    return np.array(numbers)


def test_pages_by_hand() -> None:
    """Step 0 cuts row 3 from 10 to 6 pages, step 1 to 2; then 8 of them come back, and at last all."""
    gone = _Evicted()
    gone.add(rows(3), rows(6), rows(10), 0)
    gone.add(rows(3), rows(2), rows(6), 1)
    cached = np.zeros(5, int)
    cached[3] = 8
    steps, pages = gone.back(cached)
    assert dict(zip(steps.tolist(), pages.tolist(), strict=True)) == {0: 2, 1: 4}
    cached[3] = 10
    steps, pages = gone.back(cached)
    assert dict(zip(steps.tolist(), pages.tolist(), strict=True)) == {0: 2}
    assert gone.back(cached)[0].size == 0 and gone.table.size == 0


def test_every_page_that_was_evicted_and_comes_back_is_charged_once() -> None:
    """Without a discount, all charges are the pages that entered a second time, counted from the tables alone."""
    envs = batch(2, candidates=32)
    envs.reset(seed=0)
    credit = Credit(envs.envs, 1.0)
    rng = np.random.default_rng(0)
    most = [env.simulator.tables["rows"]["cached"].copy() for env in envs.envs]
    before = [one.copy() for one in most]
    charged = np.zeros(2)
    again = np.zeros(2)
    for _ in range(700):
        masks = envs.action_masks()
        envs.step(np.array([rng.choice(np.flatnonzero(mask)) for mask in masks]))
        assert not envs.ended.any()
        steps, places, seconds = credit.step(envs.arrivals, envs.ended)
        assert (steps >= 0).all() and (seconds > 0).all()
        np.add.at(charged, places, seconds)
        for i, env in enumerate(envs.envs):
            now = env.simulator.tables["rows"]["cached"]
            again[i] += np.maximum(np.minimum(now, most[i]) - before[i], 0).sum()
            most[i] = np.maximum(most[i], now)
            before[i] = now.copy()
    engine = envs.envs[0].scenario.engine
    tables = envs.envs[0].simulator.tables
    one = float(tables["g"][engine.chunk_tokens]) * 1e-12 * engine.page_size / engine.chunk_tokens
    assert again.min() > 0
    assert charged == pytest.approx(again * one)


def test_charges_are_discounted_by_the_requests_in_between() -> None:
    envs, same = batch(1), batch(1)
    plain = discounted = 0.0
    for one, gamma in ((envs, 1.0), (same, 0.5)):
        one.reset(seed=3)
        credit = Credit(one.envs, gamma)
        total = 0.0
        for _ in range(500):
            one.step(np.array([int(np.flatnonzero(one.action_masks()[0])[-1])]))
            total += credit.step(one.arrivals, one.ended)[2].sum()
        plain, discounted = (total, discounted) if gamma == 1.0 else (plain, total)
    assert 0 < discounted < 0.5 * plain


def test_what_is_gone_at_the_end_of_an_episode_is_forgotten() -> None:
    envs = batch(1)
    envs.reset(seed=0)
    credit = Credit(envs.envs, 1.0)
    for _ in range(5000):
        envs.step(np.array([0]))
        ended = bool(envs.ended[0])
        steps, _, _ = credit.step(envs.arrivals, envs.ended)
        if ended:
            assert steps.size == 0 and credit._gone[0].table.size == 0
            return
    pytest.fail("the episode did not end")
