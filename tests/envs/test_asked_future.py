"""Requests that come later change nothing in Evict-v0 and Joint-v0: no observation, mask, reward or victim."""

import dataclasses

import pytest

from kvgym.sim import RULES
from tests import often
from tests.envs.helpers import random_actions, steps
from tests.envs.test_future import late
from tests.envs.token_scenarios import drawn_out, make_asked_env, use_workload
from tests.sim.cases import VIEWS, random_case, workload_of
from tests.sim.compare import resident

SETTINGS = {
    "evict": ("prefix_affinity", 16, "leaf"),
    "evict-one": ("least_loaded", 4, 1),
    "evict-rule": ("least_loaded", 0, "leaf"),
    "joint": ("agent", 0, "leaf"),
    "joint-leaf": ("agent", 16, "leaf"),
}


def whole(env):
    """Everything of an episode that random actions play, and the pages that are left."""
    seen = []
    for observation, reward, terminated, truncated, info in steps(env, random_actions(env, 7), seed=0):
        mask = info.pop("action_mask").tolist()
        metrics = repr(info.pop("episode_metrics", None))  # they may hold NaN
        shown = (observation.tolist(), reward, terminated, truncated, mask, info, metrics)
        kept = [sorted(pages) for pages in resident(env.simulator)]
        seen.append((*shown, kept, env.prompt_pages().tolist(), env.finished().tolist()))
    return seen


@pytest.mark.parametrize(
    ("form", "schedule", "turn"), often.diagonals(SETTINGS, ["mixed", "prefill_first"], [0, 1], share=2)
)
def test_later_requests_change_nothing_before_they_arrive(monkeypatch, form, schedule, turn):
    """The first half of a workload, alone and followed by requests that share, extend and split its prefixes."""
    router, candidates, quantum = SETTINGS[form]
    evicted = 0
    for seed in range(8):
        view = tuple(VIEWS)[(seed + turn) % 3]  # two of three for each seed
        case = random_case(seed, "agent", schedule, 4, router)
        case = dataclasses.replace(case, candidates=candidates, quantum=quantum, **VIEWS[view])
        case = drawn_out(case, 3) if seed % 2 else case
        half = len(case.requests) // 2
        requests = case.requests[:half] + [late(r, i) for i, r in enumerate(case.requests[half:])]
        seen = []
        for cut in (half, len(requests)):
            settings = {"output_hint_sigma": 0.7, "episode_requests": half, "evictor": RULES[seed]}
            env = make_asked_env(monkeypatch, dataclasses.replace(case, requests=requests), **settings)
            use_workload(monkeypatch, workload_of(requests[:cut], 4))
            seen.append(whole(env))
            evicted += env.simulator.totals()["evicted"].sum()
        for number, (alone, followed) in enumerate(zip(*seen, strict=True)):
            assert alone == followed, f"seed {seed}, decision {number}"
    assert evicted > 50
