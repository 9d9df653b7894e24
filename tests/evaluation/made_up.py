"""Made-up results for tests."""

from dataclasses import replace

import numpy as np

from kvgym.evaluation import RANDOM, REFERENCE, Episode, standings
from kvgym.evaluation.anchors import Anchors, Headroom, Pair, Row
from kvgym.evaluation.overall import overall
from kvgym.evaluation.report import Report
from kvgym.evaluation.runs import Identity
from kvgym.evaluation.standings import Player

METRICS = {
    "J": 2.0,
    "J_bound": 0.3,
    "e2e_p50": 1.5,
    "e2e_p95": 4.0,
    "e2e_p99": 5.0,
    "ttft_p50": 0.5,
    "ttft_p95": 1.0,
    "ttft_p99": 1.5,
    "tpot_mean": float("nan"),
    "hit_rate": 0.25,
    "request_throughput": 9.0,
    "goodput": 8.0,
    "slo_attainment": 0.875,
    "imbalance": 1.01,
    "utilisation": 0.9,
}


def episode(seed=0, cost=2.0, **changes):
    made = Episode(
        seed=seed,
        J=cost,
        metrics=METRICS | {"J": cost},
        n_actions=100,
        n_invalid=0,
        decision_us=12.5,
        env_s=0.25,
        actions_sha256="a" * 64,
        records_sha256="d" * 64,
        workload_sha256="b" * 64,
        n_dropped=0,
        oracle=False,
    )
    return replace(made, **changes)


def identity(**changes):
    made = Identity(
        suite_version="1.2.3",
        code_sha256="c" * 64,
        scenario="gsp",
        scenario_version=0,
        overrides={},
        scenario_fields={},
        environment="KVGym/Route-v0",
        agent="some/where.py:Mine",
        agent_args={"x": 1},
        evictor="lru",
        router="",
        oracle=False,
        split="test",
        charged=False,
        files={},
    )
    return replace(made, **changes)


SPREAD = 1 + 0.1 * np.random.default_rng(0).random(32)
"""J of seeds over their usual J."""


def episodes(cost, n, **changes):
    return [episode(seed, cost * SPREAD[seed], **changes) for seed in range(n)]


def frozen(scenario, random=8.0, reference=2.0, frontier=1.6, planner=1.2):
    """Anchors; `planner` None: nobody played it."""

    def row(agent, evictor, cost):
        return Row(Pair(agent, evictor), cost * SPREAD)

    seeds = tuple(range(32))
    pair = Pair("planner", "lfu")
    headroom = None if planner is None else Headroom(pair, {}, seeds, planner * SPREAD, frontier * SPREAD)
    rows = row(*RANDOM, random), row(*REFERENCE, reference), row("lpwl", "lfu", frontier)
    return Anchors(scenario.version, seeds, *rows, headroom)


def report(boards, split="test", n=12, **changes):
    """A report of boards whose players have the same names everywhere."""
    names = [{player: player for player in (*board.results.costs, *board.errors)} for board in boards]
    made = Report("1.2.3", split, n, False, boards, names, overall(list(zip(boards, names, strict=True))))
    return replace(made, **changes)


def board(scenario, played, errors=None, split="test", **options):
    """A board of players and their episodes; the anchors are among them."""
    anchors = Player(*RANDOM), Player(*REFERENCE)
    return standings.board(scenario, {}, split, played, errors or {}, *anchors, **options)
