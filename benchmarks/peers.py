"""Beside others on the same machine: NVIDIA Dynamo's offline replay, and envpool.

    pip install ai-dynamo-runtime envpool        # both optional
    python -m benchmarks.peers [--quick] [--rounds 5] [--out FILE]

Simulation: 4 workers, 5,000 requests of 1,155 + 211 tokens that share nothing, Poisson arrivals, 20 per second. Runs
take turns; both are timed from the description of the load to the last record: making the requests, simulating,
collecting. The ratio is that of requests per second, by rounds. Bar: 20 x.

As near as it can be, not the same. Both: continuous batching with chunked prefill in the manner of vLLM, pages of 64
tokens, 16,384 pages a worker, 8,192 tokens and 256 requests an iteration, round robin (and Dynamo's KV router beside
ours, "prefix_affinity"). Different: Dynamo times an iteration with its default polynomial, we with the fitted roofline
of Llama-3.1-8B on an H100, so the batches differ; it draws its own arrivals, and reports more than our records do. It
advances iteration by iteration, we run identical decode iterations in closed form. It is called with one thread where
it can be told (TOKIO_WORKER_THREADS, RAYON_NUM_THREADS), and without its log.

envpool plays CartPole-v1, 64 at a time on one thread, beside our native Route-v0 with the same batch.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

import kvgym
from benchmarks.timing import command, rates, ratios, report
from benchmarks.vector_rate import TRAINING, player
from kvgym.cluster import ClusterSpec, EngineSpec, worker_spec
from kvgym.sim import Simulator
from kvgym.workload import Workload

WORKERS, PROMPT, OUTPUT, RATE = 4, 1155, 211, 20.0
PAGE, PAGES, CHUNK, BATCH = 64, 16_384, 8192, 256
ROUTERS = {"round_robin": "round_robin", "kv_router": "prefix_affinity"}
"""Dynamo's router: ours."""

Work = Callable[[], int]


def ours(router: str, requests: int, latencies: list[float]) -> Work:
    """Work for `rates`: a new load and its simulation; notes the mean latency (s)."""
    cost = worker_spec("llama-3.1-8b", "h100", page_size=PAGE).cost
    simulator = Simulator(
        ClusterSpec.uniform(WORKERS, PAGES, cost), EngineSpec(PAGE, "mixed", CHUNK, BATCH), "lru", router
    )
    seed = iter(range(1_000_000))

    def play() -> int:
        rng = np.random.default_rng(next(seed))
        arrivals = np.cumsum(rng.exponential(1 / RATE, requests))
        each = np.arange(requests)
        splits, zeros = np.arange(requests + 1), np.zeros_like(each)
        prompts, outputs = np.full_like(each, PROMPT), np.full_like(each, OUTPUT)
        workload = Workload.from_segments(splits, each, zeros, prompts, outputs, arrivals, PAGE, sessions=each)
        simulator.reset(workload)
        simulator.run()
        records = simulator.records()
        assert len(records) == requests
        latencies.append(float((records["finish"] - records["arrival"]).mean()))
        return requests

    return play


def dynamo(router: str, requests: int, latencies: list[float]) -> Work:
    """Work for `rates`: Dynamo's offline replay of a synthetic load; notes the mean latency (s)."""
    for name in ("TOKIO_WORKER_THREADS", "RAYON_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("DYN_LOG", "error")
    from dynamo._core import run_mocker_synthetic_trace_replay

    engine = {"num_gpu_blocks": PAGES, "block_size": PAGE, "max_num_seqs": BATCH, "max_num_batched_tokens": CHUNK}
    seed = iter(range(1_000_000))

    def play() -> int:
        result = run_mocker_synthetic_trace_replay(
            PROMPT,
            OUTPUT,
            requests,
            num_workers=WORKERS,
            request_rate=RATE,
            router_mode=router,
            extra_engine_args={"engine": engine},
            arrival_seed=next(seed),
        )
        assert result.summary["completed_requests"] == requests
        latencies.append(result.summary["mean_e2e_latency_ms"] / 1000)
        return requests

    return play


def replay_rows(requests: int, rounds: int) -> list[dict[str, Any]]:
    """A row per pair of routers."""
    if find_spec("dynamo") is None:
        return [{"peer": "Dynamo: not installed: pip install ai-dynamo-runtime"}]
    rows = []
    for theirs, mine in ROUTERS.items():
        own: list[float] = []
        their: list[float] = []
        found = rates({"ours": ours(mine, requests, own), "theirs": dynamo(theirs, requests, their)}, rounds)
        latency = {"their mean latency (s)": statistics.mean(their), "our mean latency (s)": statistics.mean(own)}
        rows.append(row(f"Dynamo offline replay, {theirs}", "requests/s", found) | latency)
    return rows


def envpool_rows(decisions: int, rounds: int) -> list[dict[str, Any]]:
    """One row: CartPole of envpool beside Route-v0."""
    if find_spec("envpool") is None:
        return [{"peer": "envpool: not installed: pip install envpool"}]
    import envpool

    pool = envpool.make_gymnasium("CartPole-v1", num_envs=64, num_threads=1, seed=0)
    pool.reset()
    actions = np.random.default_rng(0).integers(2, size=(16, 64))

    def play() -> int:
        for i in range(decisions // 64):
            pool.step(actions[i % 16])
        return decisions // 64 * 64

    envs = kvgym.make_vec("KVGym/Route-v0", 64, autoreset_mode="SameStep", **TRAINING)
    found = rates({"ours": player(envs, decisions), "theirs": play}, rounds)
    envs.close()
    return [row("envpool CartPole-v1, 64, one thread (ours: Route-v0)", "steps/s", found)]


def row(peer: str, unit: str, found: dict[str, list[float]]) -> dict[str, Any]:
    """Both medians, and the median of the ratios."""
    mine, theirs = (round(statistics.median(found[name])) for name in ("ours", "theirs"))
    return {"peer": peer, "unit": unit, "theirs": theirs, "ours": mine, "ratio": ratios(found, "theirs")["ours"]}


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the table."""
    parser = command("peers", __doc__, 5)
    parser.add_argument("--quick", action="store_true", help="one round of a tenth of the load")
    args = parser.parse_args(argv)
    rounds, share = (1, 10) if args.quick else (args.rounds, 1)
    rows = [*replay_rows(5000 // share, rounds), *envpool_rows(200_000 // share, rounds)]
    report("peers on the same machine, one thread (bar: 20 x Dynamo)", rows, args.out)


if __name__ == "__main__":
    main()
