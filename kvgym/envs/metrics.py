"""Metrics of an episode's records: latencies, hits, goodput, balance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kvgym import _compile
from kvgym.envs.kernels.codes import Sums
from kvgym.scenarios import Scenario
from kvgym.sim import Simulator

PERCENTILES = (50, 95, 99)
NAMES = (
    "J",
    *(f"{what}_{part}" for what in ("e2e", "ttft", "tpot") for part in ("mean", *(f"p{p}" for p in PERCENTILES))),
    "hit_rate",
    "request_throughput",
    "output_throughput",
    "goodput",
    "slo_attainment",
    "imbalance",
    "utilisation",
    "preemptions",
    "returns",
    "refused",
    "busy_s",
    "fetched_tokens",
    "inside_gb",
    "inside_s",
    "between_gb",
    "between_s",
    "given_up",
)
"""Of all metrics but n, in their order."""


def episode_metrics(sim: Simulator, scenario: Scenario) -> dict[str, float]:
    """Metrics of a finished episode over the requests that count (after the warm-up) and have finished.

    Args:
        sim: The simulator at the end of the episode.
        scenario: Gives the objective and the service-level objectives.

    Returns:
        n: requests counted, those that were refused included; if it is 0 all others are NaN; J: mean latency of the
        objective (s), where a refused request counts with its time up to then and what its refusal costs; refused:
        how many those are. The others are of requests that have finished, and NaN without any: e2e_mean, ttft_mean,
        tpot_mean and their p50, p95, p99 (s; TPOT over requests with two or more output tokens); hit_rate: hit over
        prompt tokens; request_throughput, output_throughput: per second from the first counted arrival to the last
        finish; goodput: requests per second inside both service-level objectives; slo_attainment: their share of n;
        imbalance: largest over mean number of requests per worker; utilisation: busy seconds of all workers over
        workers x time of the arrivals, above 1 in overload; preemptions; returns: how often crashes sent requests back
        to the router; busy_s: busy seconds of all workers; fetched_tokens: moved by transfers for these requests; by
        all transfers since the start: inside_gb, inside_s, between_gb, between_s: 10^9 bytes and seconds over links
        inside nodes and between them; given_up: transfers that came to nothing.
    """
    measured = _compile.load("kvgym.envs.kernels.measure").measure(
        sim.address, scenario.slo_ttft_s, scenario.slo_tpot_s
    )
    e2e, ttft, tpot, sent, sums = measured
    total = Sums(*sums.tolist())
    n = len(e2e) + total.refused
    metrics = {"n": float(n)} | dict.fromkeys(NAMES, float("nan"))
    if n == 0:
        return metrics
    is_e2e = scenario.objective == "e2e"
    refused_ps = total.refused_e2e_ps if is_e2e else total.refused_ttft_ps
    metrics["J"] = float((np.sum(e2e if is_e2e else ttft) + refused_ps * 1e-12) / n)
    metrics["refused"] = float(total.refused)
    if len(e2e) == 0:
        return metrics
    for name, values in (("e2e", e2e), ("ttft", ttft), ("tpot", tpot)):
        metrics |= _summary(name, values)
    span = np.float64(total.finish_ps * 1e-12 - total.first_ps * 1e-12)
    metrics["hit_rate"] = total.hit / total.prompt
    metrics["request_throughput"] = float(len(e2e) / span)
    metrics["output_throughput"] = float(total.output / span)
    metrics["goodput"] = float(total.good / span)
    metrics["slo_attainment"] = total.good / n
    metrics["imbalance"] = float(sent.max() / sent.mean())
    busy = sim.totals()["busy"].sum()
    length = total.latest_ps * 1e-12 - total.earliest_ps * 1e-12
    metrics["utilisation"] = float(busy / (len(sim.cluster) * length)) if length > 0 else float("nan")
    metrics["preemptions"] = float(total.preemptions)
    metrics["returns"] = float(total.returns)
    metrics["busy_s"] = float(busy)
    metrics["fetched_tokens"] = float(total.fetched)
    return metrics | _moved(sim)


def _moved(sim: Simulator) -> dict[str, float]:
    """Traffic over links of either kind."""
    if not sim.settings.transfers:
        return dict.fromkeys(NAMES[-5:], 0.0)
    traffic = sim.traffic()
    moved: dict[str, float] = {}
    for kind in ("inside", "between"):
        rows = traffic[traffic["kind"] == kind]
        moved[f"{kind}_gb"] = float(rows["bytes"].sum() / 1e9)
        moved[f"{kind}_s"] = float(rows["seconds"].sum())
    return moved | {"given_up": float(traffic["given_up"].sum())}


def _summary(name: str, values: NDArray[np.float64]) -> dict[str, float]:
    """Mean and percentiles; sorts the values."""
    if len(values) == 0:
        return {f"{name}_mean": float("nan")} | {f"{name}_p{p}": float("nan") for p in PERCENTILES}
    summary = {f"{name}_mean": float(values.mean())}
    values.sort()
    return summary | {f"{name}_p{p}": percentile(values, p) for p in PERCENTILES}


def percentile(ordered: NDArray[np.float64], percent: float) -> float:
    """As `np.percentile`, to the last bit and without its overhead, of values in ascending order."""
    place = (len(ordered) - 1) * (percent / 100)
    below = int(place)
    share = place - below
    low, high = ordered[below : below + 2].tolist() if share > 0 else [float(ordered[below])] * 2
    return high - (high - low) * (1 - share) if share >= 0.5 else low + (high - low) * share
