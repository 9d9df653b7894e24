"""Metrics of an episode's records: latencies, hits, goodput, fairness, balance."""

from __future__ import annotations

from math import nan

import numpy as np
from numpy.typing import NDArray

from kvgym import _compile
from kvgym.envs.kernels.codes import Sums
from kvgym.scenarios import Scenario
from kvgym.sim import Simulator

PERCENTILES = (50, 95, 99)
MOVED = ("inside_gb", "inside_s", "between_gb", "between_s", "given_up")
NAMES = (
    "J",
    *(f"{what}_{part}" for what in ("e2e", "ttft", "tpot") for part in ("mean", *(f"p{p}" for p in PERCENTILES))),
    "hit_rate",
    "request_throughput",
    "output_throughput",
    "goodput",
    "slo_attainment",
    "jain_index",
    "largest_slowdown",
    "imbalance",
    "utilisation",
    "preemptions",
    "returns",
    "refused",
    "refused_share",
    "busy_s",
    "fetched_tokens",
    *MOVED,
    "J_bound",
)
"""Of all metrics but n and those of classes, in their order."""
OF_CLASS = ("slo_attainment", "goodput", "ttft_p95", "tpot_p95")
"""Of those of a class."""


def episode_metrics(sim: Simulator, scenario: Scenario) -> dict[str, float]:
    """Metrics of a finished episode over the requests that count (after the warm-up) and have finished.

    Args:
        sim: The simulator at the end of the episode.
        scenario: Gives the objective and the names of the service classes.

    Returns:
        n: requests counted, those that were refused included; if it is 0 all others are NaN; J: mean latency of the
        objective (s), where a refused request counts with its time up to then and what its refusal costs; refused,
        refused_share: how many those are, and their share of n. The others are of requests that have finished, and NaN
        without any: e2e_mean, ttft_mean, tpot_mean and their p50, p95, p99 (s; TPOT over requests with two or more
        output tokens); hit_rate: hit over prompt tokens; request_throughput, output_throughput: per second from the
        first counted arrival to the last finish; goodput: requests per second that met the targets of their class;
        slo_attainment: their share of n; jain_index, largest_slowdown: fairness between tenants, see `_fairness`;
        imbalance: largest over mean number of requests per worker; utilisation: busy seconds of all workers over
        workers x time of the arrivals, above 1 in overload; preemptions; returns: how often crashes sent requests back
        to the router; busy_s: busy seconds of all workers; fetched_tokens: moved by transfers for these requests; by
        all transfers since the start: inside_gb, inside_s, between_gb, between_s: 10^9 bytes and seconds over links
        inside nodes and between them; given_up: transfers that came to nothing; J_bound: the mean of lower bounds of
        the objective's latency, see `kernels.bound` (s). Where the scenario has classes also
        slo_attainment, goodput, ttft_p95 and tpot_p95 of each, as "goodput/NAME".
    """
    done, e2e, ttft, tpot, slowdown, served, slowed, met, sent, sums = _compile.load(
        "kvgym.envs.kernels.measure"
    ).measure(sim.address)
    total = Sums(*sums.tolist())
    n = len(done) + total.refused
    names = [one.name for one in scenario.service_classes] if scenario.classes else []
    metrics = {"n": float(n)} | dict.fromkeys((*NAMES, *(f"{what}/{name}" for name in names for what in OF_CLASS)), nan)
    if n == 0:
        return metrics
    is_e2e = scenario.objective == "e2e"
    refused_ps = total.refused_e2e_ps if is_e2e else total.refused_ttft_ps
    metrics["J"] = float((np.sum(e2e if is_e2e else ttft) + refused_ps * 1e-12) / n)
    metrics["refused"] = float(total.refused)
    metrics["refused_share"] = total.refused / n
    if len(done) == 0:
        return metrics
    span = np.float64(total.finish_ps * 1e-12 - total.first_ps * 1e-12)
    metrics |= _of_classes(sim, names, done, ttft, tpot, met, span)
    for name, values in (("e2e", e2e), ("ttft", ttft), ("tpot", tpot)):
        metrics |= _summary(name, values)
    metrics["hit_rate"] = total.hit / total.prompt
    metrics["request_throughput"] = float(len(done) / span)
    metrics["output_throughput"] = float(total.output / span)
    metrics["goodput"] = float(met.sum() / span)
    metrics["slo_attainment"] = float(met.sum() / n)
    if len(served) == 0:  # a tenant has a high number, there are gaps
        tenants = np.unique(sim.tables["requests"]["tenant"][done], return_inverse=True)[1]
        served, slowed = np.bincount(tenants), np.bincount(tenants, slowdown)
    metrics["jain_index"], metrics["largest_slowdown"] = _fairness(served, slowed)
    metrics["imbalance"] = float(sent.max() / sent.mean())
    busy = sim.totals()["busy"].sum()
    length = total.latest_ps * 1e-12 - total.earliest_ps * 1e-12
    metrics["utilisation"] = float(busy / (len(sim.cluster) * length)) if length > 0 else nan
    metrics["preemptions"] = float(total.preemptions)
    metrics["returns"] = float(total.returns)
    metrics["busy_s"] = float(busy)
    bound_ps = total.bound_e2e_ps if is_e2e else total.bound_ttft_ps
    metrics["J_bound"] = bound_ps * 1e-12 / len(done)
    metrics["fetched_tokens"] = float(total.fetched)
    return metrics | _moved(sim)


def latency_bounds(sim: Simulator) -> NDArray[np.float64]:
    """What no request can be faster than: alone on the fastest worker, with all cached that can be.

    Returns:
        (n, 2) seconds of TTFT and E2E, a row per request of the workload; see `kernels.bound`.
    """
    ps = np.empty((len(sim.tables["requests"]), 2), np.int64)
    _compile.load("kvgym.envs.kernels.measure").bounds(sim.address, ps)
    return np.asarray(ps * 1e-12, np.float64)


def _of_classes(
    sim: Simulator,
    names: list[str],
    done: NDArray[np.int64],
    ttft: NDArray[np.float64],
    tpot: NDArray[np.float64],
    met: NDArray[np.bool_],
    span: np.float64,
) -> dict[str, float]:
    """Metrics of each service class, of the requests `done`; a refused one has not met its targets."""
    requests, status = sim.tables["requests"], sim.tables["progress"]
    number = requests["service_class"] * (len(names) > 1)  # a single class is for all
    refused = number[(status["refused_ps"] >= 0) & (status["decision"] >= 0)]
    metrics: dict[str, float] = {}
    for own, name in enumerate(names):
        mine = number[done] == own
        n, good = int(mine.sum() + (refused == own).sum()), int(met[mine].sum())
        metrics[f"slo_attainment/{name}"] = good / n if n else nan
        metrics[f"goodput/{name}"] = float(good / span)
        metrics[f"ttft_p95/{name}"] = _summary("ttft", ttft[mine])["ttft_p95"]
        metrics[f"tpot_p95/{name}"] = _summary("tpot", tpot[mine[requests["output_tokens"][done] > 1]])["tpot_p95"]
    return metrics


def _fairness(served: NDArray[np.int64], slowed: NDArray[np.float64]) -> tuple[float, float]:
    """Jain's index over 1 / slowdown of the tenants, and their largest slowdown; refused requests have none.

    A request's slowdown is its E2E over the time that it would take alone on the fastest worker with an empty cache
    (`kernels.measure.alone_ps`); a tenant's is the mean of its requests. The index, (sum x)^2 / (n sum x^2), is 1 if
    all are served alike and 1/n if one alone is served: Jain, Chiu and Hawe, "A quantitative measure of fairness and
    discrimination for resource allocation in shared computer systems", DEC-TR-301, 1984.

    Args:
        served: Requests of each tenant, 0 for numbers that nobody has.
        slowed: The sum of their slowdowns.
    """
    if len(served) == 1:
        return 1.0, float(slowed[0] / served[0])
    means = slowed[served > 0] / served[served > 0]
    share = 1.0 / means
    return float(share.sum() ** 2 / (len(share) * (share**2).sum())), float(means.max())


def _moved(sim: Simulator) -> dict[str, float]:
    """Traffic over links of either kind."""
    if not sim.settings.transfers:
        return dict.fromkeys(MOVED, 0.0)
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
