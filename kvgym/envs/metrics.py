"""What an episode's records say: latencies, hits, goodput, balance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.scenarios import Scenario
from kvgym.sim import Simulator

PERCENTILES = (50, 95, 99)


def episode_metrics(sim: Simulator, scenario: Scenario, warmup: int) -> dict[str, float]:
    """Metrics of a finished episode over the requests that count (those that arrived after the warm-up and finished).

    Args:
        sim: The simulator at the end of the episode.
        scenario: Gives the objective and the service-level objectives.
        warmup: Arrivals that don't count.

    Returns:
        n: requests counted, the only entry if it is 0; J: mean latency of the objective (s); e2e_mean, ttft_mean,
        tpot_mean and their p50, p95, p99 (s; TPOT over requests with two or more output tokens); hit_rate: hit over
        prompt tokens; request_throughput, output_throughput: per second from the first counted arrival to the last
        finish; goodput: requests per second inside both service-level objectives; slo_attainment: their share;
        imbalance: largest over mean number of requests per worker; utilisation: busy seconds of all workers over
        workers x time of the arrivals, above 1 in overload; preemptions.
    """
    records = sim.records()
    order = sim.tables["progress"]["order"][records["request"]]
    counted = records[(order >= warmup) & ~np.isnan(records["finish"])]
    metrics = {"n": float(len(counted))}
    if len(counted) == 0:
        return metrics
    e2e = counted["finish"] - counted["arrival"]
    ttft = counted["first_token"] - counted["arrival"]
    several = counted["output_tokens"] > 1
    decode_s = counted["finish"] - counted["first_token"]
    tpot = decode_s[several] / (counted["output_tokens"][several] - 1)
    metrics["J"] = float(np.mean(e2e if scenario.objective == "e2e" else ttft))
    for name, values in (("e2e", e2e), ("ttft", ttft), ("tpot", tpot)):
        metrics |= _summary(name, values)
    span = counted["finish"].max() - counted["arrival"].min()
    good = _good(counted, ttft, decode_s, scenario)
    metrics["hit_rate"] = float(counted["hit_tokens"].sum() / counted["prompt_tokens"].sum())
    metrics["request_throughput"] = float(len(counted) / span)
    metrics["output_throughput"] = float(counted["output_tokens"].sum() / span)
    metrics["goodput"] = float(good.sum() / span)
    metrics["slo_attainment"] = float(good.mean())
    sent = np.bincount(counted["worker"], minlength=len(sim.cluster))
    metrics["imbalance"] = float(sent.max() / sent.mean())
    arrivals = records["arrival"]
    busy = sim.totals()["busy"].sum()
    length = arrivals.max() - arrivals.min()
    metrics["utilisation"] = float(busy / (len(sim.cluster) * length)) if length > 0 else float("nan")
    metrics["preemptions"] = float(counted["preemptions"].sum())
    return metrics


def _summary(name: str, values: NDArray[np.float64]) -> dict[str, float]:
    if len(values) == 0:
        return {f"{name}_mean": float("nan")} | {f"{name}_p{p}": float("nan") for p in PERCENTILES}
    percentiles = np.percentile(values, PERCENTILES)
    return {f"{name}_mean": float(values.mean())} | {
        f"{name}_p{p}": float(value) for p, value in zip(PERCENTILES, percentiles, strict=True)
    }


def _good(
    counted: NDArray[Any], ttft: NDArray[np.float64], decode_s: NDArray[np.float64], scenario: Scenario
) -> NDArray[np.bool_]:
    """Which requests met both objectives; an objective of 0 is always met."""
    good = np.ones(len(counted), bool)
    if scenario.slo_ttft_s > 0:
        good &= ttft <= scenario.slo_ttft_s
    if scenario.slo_tpot_s > 0:
        good &= decode_s <= scenario.slo_tpot_s * (counted["output_tokens"] - 1)
    return good
