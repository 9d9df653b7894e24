"""Scenarios whose workload is given token by token, for the environment and for the reference simulator alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kvgym.cluster import Crash, IterationCost, Link, Slowdown
from kvgym.envs.evict import EvictEnv
from kvgym.envs.joint import JointEnv
from kvgym.envs.route import RouteEnv
from kvgym.scenarios import recipes
from kvgym.sim import RULES
from kvgym.workload import Workload
from tests.reference import RefRequest
from tests.sim.cases import Case

MS = 10**9
"""Picoseconds."""


def requests(*rows: tuple[int, list[int], int]) -> list[RefRequest]:
    """Open-loop requests from (arrival in ms, prompt, private output length)."""
    fresh = iter(range(1, 10**6))
    return [
        RefRequest(tuple(prompt), tuple(-next(fresh) for _ in range(length)), arrival * MS)
        for arrival, prompt, length in rows
    ]


def make_env(
    monkeypatch: pytest.MonkeyPatch, case: Case, more: dict[str, Any] | None = None, **kwargs: Any
) -> RouteEnv:
    """An environment that plays a case; `more` are further overrides."""
    use_workload(monkeypatch, case.workload())
    return RouteEnv("gsp", scenario_overrides={**overrides(case), **(more or {})}, **kwargs)


def make_asked_env(
    monkeypatch: pytest.MonkeyPatch, case: Case, warmup: int = 0, period_ps: int = 0, **settings: Any
) -> Any:
    """An environment whose agent evicts in a case: Evict-v0 where a rule routes, else Joint-v0; physical.

    In its rule form the evictor of the case's first request does the warm-up's evictions.
    """
    use_workload(monkeypatch, case.workload())
    scenario = {
        **overrides(case),
        "evictor": case.rules[0] if case.rules else "lru",
        "warmup_requests": warmup,
        "episode_requests": len(case.requests) - warmup,
        "metrics_period_s": period_ps * 1e-12,
        **settings,
    }
    form = {"action": "leaf", "candidates": case.candidates, "quantum": case.quantum}
    if not case.candidates:
        form = {"action": "rule", "rules": RULES}
    if case.router != "agent":
        form |= {"router": case.router}
    made: Any = EvictEnv if case.router != "agent" else JointEnv
    return made("gsp", scenario_overrides=scenario, observation="physical", **form)


def use_workload(monkeypatch: pytest.MonkeyPatch, workload: Workload) -> None:
    """Makes `workload` what the recipe "tokens" gives, whatever the seed."""

    def recipe(seed: np.random.SeedSequence, page_size: int, wanted: int, split: str, **args: Any) -> Workload:
        return workload

    monkeypatch.setitem(recipes.RECIPES, "tokens", recipe)


def overrides(case: Case) -> dict[str, Any]:
    """Scenario overrides that describe a case's cluster, engine and view; JSON-able."""
    page_size = case.engine.page_size
    return {
        "recipe": "tokens",
        "workers": [
            {
                "kv_tokens": worker.kv_pages * page_size,
                "cost": cost_arguments(worker.cost),
                "kv_bytes_per_token": worker.kv_bytes_per_token,
            }
            for worker in case.workers
        ],
        **moving_overrides(case),
        "engine": dataclasses.asdict(case.engine),
        "evictor": case.evictor,
        "view": case.view(),
        **({} if case.history_pages is None else {"history_tokens": case.history_pages * page_size}),
        "episode_requests": len(case.requests),
        "metrics_period_s": 0.0,
    }


def drawn_out(case: Case, factor: int = 6) -> Case:
    """The case with long outputs, every iteration 100 ps and every arrival on that grid.

    Many decisions then fall into runs of decode iterations, and many onto an iteration's end.
    """
    fresh = iter(range(10**6, 10**9))

    def changed(request: RefRequest) -> RefRequest:
        output = request.output * factor
        if output[0] < 0:
            output = tuple(-next(fresh) for _ in output)
        arrival = request.arrival_ps if request.arrival_ps is None else request.arrival_ps // 100 * 100
        return dataclasses.replace(request, output=output, arrival_ps=arrival, think_ps=request.think_ps // 100 * 100)

    rows = [changed(request) for request in case.requests]
    need = max(-(-row.computed_tokens() // case.engine.page_size) for row in rows)
    cost = IterationCost(c0=1e-7, p=1.0)
    workers = [dataclasses.replace(worker, kv_pages=need + worker.kv_pages, cost=cost) for worker in case.workers]
    return dataclasses.replace(case, requests=rows, workers=workers)


def cost_arguments(cost: IterationCost) -> dict[str, Any]:
    return dataclasses.asdict(cost)


def link_arguments(link: Link | None) -> dict[str, float] | None:
    """Figures from which a scenario makes the very same link."""
    if link is None:
        return None
    figures = {"latency_ms": _so_that(link.latency_s, lambda ms: ms / 1e3, 1e3)}
    return figures | {"gb_per_s": _so_that(link.bytes_per_s, lambda gb: gb * 1e9, 1e-9)}


def _so_that(wanted: float, turned: Callable[[float], float], about: float) -> float:
    """The number next to `wanted` x `about` that is turned into `wanted`, to the last bit."""
    nearest = wanted * about
    tried = (nearest, np.nextafter(nearest, 0.0), np.nextafter(nearest, np.inf))
    return next(float(figure) for figure in tried if turned(figure) == wanted)


def moving_overrides(case: Case) -> dict[str, Any]:
    """Overrides that describe a case's network and faults."""
    described: dict[str, Any] = {}
    if case.network is not None:
        described["transfer"] = "auto"
        links = {name: link_arguments(getattr(case.network, name)) for name in ("inside", "between")}
        described["network"] = {"nodes": case.network.nodes, **links}
    if case.faults:
        kinds = {Crash: "crash", Slowdown: "slow-down"}
        schedule = [{"kind": kinds[type(fault)], **dataclasses.asdict(fault)} for fault in case.faults]
        described["faults"] = {"schedule": schedule}
    return described
