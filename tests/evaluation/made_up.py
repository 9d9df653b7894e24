"""Made-up results for tests."""

from dataclasses import replace

from kvgym.evaluation import Episode
from kvgym.evaluation.runs import Identity

METRICS = {
    "J": 2.0,
    "e2e_p50": 1.5,
    "e2e_p95": 4.0,
    "ttft_p50": 0.5,
    "ttft_p95": 1.0,
    "tpot_mean": float("nan"),
    "hit_rate": 0.25,
    "request_throughput": 9.0,
    "goodput": 8.0,
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
