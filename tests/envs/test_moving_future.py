"""Requests that come later change nothing where pages move and workers fail: no observation, mask, reward or victim."""

import dataclasses

import pytest

from kvgym.sim import RULES
from tests import often
from tests.envs.test_asked_future import SETTINGS, whole
from tests.envs.test_future import late
from tests.envs.token_scenarios import drawn_out, make_asked_env, use_workload
from tests.sim.cases import VIEWS, workload_of
from tests.sim.moving_cases import moving_case


@often.cases(24)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("form", SETTINGS)
def test_later_requests_change_nothing_before_they_arrive(monkeypatch, form, view, cases):
    router, candidates, quantum = SETTINGS[form]
    returns = fetched = 0
    for seed in range(cases):
        changes = {"router": router, "candidates": candidates, "quantum": quantum, **VIEWS[view]}
        case = moving_case(seed, "agent", ("mixed", "prefill_first")[seed % 2], **changes)
        case = drawn_out(case, 2) if seed % 4 == 1 else case
        half, size = len(case.requests) // 2, case.engine.page_size
        requests = case.requests[:half] + [late(r, i) for i, r in enumerate(case.requests[half:])]
        seen = []
        for cut in (half, len(requests)):
            settings = {"output_hint_sigma": 0.7, "episode_requests": half, "evictor": RULES[seed % len(RULES)]}
            env = make_asked_env(monkeypatch, dataclasses.replace(case, requests=requests), **settings)
            use_workload(monkeypatch, workload_of(requests[:cut], size))
            seen.append(whole(env))
            records = env.simulator.records()
        for number, (alone, followed) in enumerate(zip(*seen, strict=True)):
            # Pages of a run of iterations enter when it ends, later in one future than in another: not to be seen.
            assert alone[:7] + alone[8:] == followed[:7] + followed[8:], f"seed {seed}, decision {number}"
        assert seen[0][-1] == seen[1][-1]
        returns += records["returns"].sum()
        fetched += records["fetched_tokens"].sum()
    # Rules send to where the pages are, or little.
    assert returns > cases / 2 and (fetched > cases / 2 or router != "agent")
