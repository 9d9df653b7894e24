"""A benchmark's closed loop on one simulated worker: so many requests at a time, each followed by the next at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kvgym import _check
from kvgym.cluster import ClusterSpec, EngineSpec, WorkerSpec
from kvgym.sim import Simulator
from kvgym.workload import Workload


@dataclass(frozen=True)
class Latencies:
    """Means over the requests of a closed loop, in ms.

    Attributes:
        ttft_ms: From arrival to the first token.
        tpot_ms: Per output token after the first; NaN where there is one only.
    """

    ttft_ms: float
    tpot_ms: float


def closed_loop(
    worker: WorkerSpec,
    concurrency: int,
    prompt_tokens: int,
    output_tokens: int,
    *,
    spread_s: float = 0.0,
    rounds: int = 6,
    engine: EngineSpec | None = None,
) -> Latencies:
    """Simulates clients that send equal requests, sharing nothing, one after the other.

    Args:
        worker: The worker that serves them.
        concurrency: Number of clients.
        prompt_tokens: Prompt length.
        output_tokens: Output length.
        spread_s: The first requests come evenly over so many seconds; 0: at once, and so all later ones too.
        rounds: Requests of each client, >= 2. Not counted: the first one, and those that end after a client is done.
        engine: Settings of the engine; None: the defaults of `EngineSpec`, which are vLLM's.

    Returns:
        The means over the requests that count.

    Raises:
        ValueError: If a number is outside its range, or a request does not fit the worker.
    """
    engine = EngineSpec() if engine is None else engine
    clients = _check.whole("concurrency", concurrency, 1)
    n = clients * _check.whole("rounds", rounds, 2)
    each = np.arange(n)
    first = each < clients
    workload = Workload.from_segments(
        np.arange(n + 1),
        each,
        np.zeros(n, np.int64),
        np.full(n, _check.whole("prompt_tokens", prompt_tokens, 1)),
        np.full(n, _check.whole("output_tokens", output_tokens, 1)),
        np.where(first, each * _check.finite("spread_s", spread_s) / clients, np.nan),
        engine.page_size,
        predecessors=np.where(first, -1, each - clients),
    )
    simulator = Simulator(ClusterSpec((worker,)), engine, "lru", "round_robin")
    simulator.reset(workload)
    simulator.run()
    records = simulator.records()
    first_done = records["finish"][records["request"] >= n - clients].min()
    records = records[(records["request"] >= clients) & (records["finish"] <= first_done)]
    ttft = (records["first_token"] - records["arrival"]).mean() * 1e3
    decode = (records["finish"] - records["first_token"]).mean() * 1e3
    return Latencies(float(ttft), float(decode) / (output_tokens - 1) if output_tokens > 1 else float("nan"))
