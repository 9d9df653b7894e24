"""What a run leaves behind, in seconds and with names: records, totals, the event log."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.cluster import ClusterSpec
from kvgym.sim.base.candidate_tables import CANDIDATE
from kvgym.sim.base.codes import WAIT_REASONS

Tables = dict[str, NDArray[Any]]

RECORD = np.dtype(
    [
        ("request", "i4"),
        ("worker", "i4"),
        ("arrival", "f8"),
        ("admitted", "f8"),
        ("first_token", "f8"),
        ("finish", "f8"),
        ("prompt_tokens", "i4"),
        ("output_tokens", "i4"),
        ("hit_tokens", "i4"),
        ("preemptions", "i4"),
        ("returns", "i4"),
        ("fetched_tokens", "i4"),
    ],
    align=True,
)
TOTAL = np.dtype(
    [
        ("loaded", "i8"),
        ("hit", "i8"),
        ("evicted", "i8"),
        ("recomputed", "i8"),
        ("iterations", "i8"),
        ("busy", "f8"),
        ("fetched", "i8"),
        ("lost", "i8"),
    ]
)
TRAFFIC = np.dtype(
    [
        ("source", "i4"),
        ("target", "i4"),
        ("kind", "U8"),
        ("transfers", "i8"),
        ("tokens", "i8"),
        ("bytes", "i8"),
        ("seconds", "f8"),
        ("given_up", "i8"),
    ],
    align=True,
)
ITERATION = np.dtype(
    [
        ("worker", "i4"),
        ("start", "f8"),
        ("duration", "f8"),
        ("prefill_tokens", "i4"),
        ("chunks", "i4"),
        ("decodes", "i4"),
        ("kv_tokens", "i8"),
        ("queued", "i4"),
        ("preempted", "i4"),
        ("wait_reason", "U10"),
    ],
    align=True,
)


def seconds(ps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Picoseconds to seconds; -1 (not yet) becomes NaN."""
    return np.where(ps < 0, np.nan, ps * 1e-12)


def records(tables: Tables) -> NDArray[Any]:
    """See `Simulator.records`."""
    progress, requests = tables["progress"], tables["requests"]
    arrived = np.flatnonzero(progress["arrived_ps"] >= 0)
    out = np.zeros(len(arrived), RECORD)
    out["request"] = arrived
    for name in ("worker", "hit_tokens", "preemptions", "returns", "fetched_tokens"):
        out[name] = progress[name][arrived]
    for name in ("prompt_tokens", "output_tokens"):
        out[name] = requests[name][arrived]
    times = {"arrival": "arrived_ps", "admitted": "admitted_ps", "first_token": "first_token_ps", "finish": "finish_ps"}
    for name, source in times.items():
        out[name] = seconds(progress[source][arrived])
    return out


def totals(tables: Tables) -> NDArray[Any]:
    """See `Simulator.totals`."""
    workers = tables["workers"]
    out = np.zeros(len(workers), TOTAL)
    for name in ("loaded", "hit", "evicted", "recomputed", "iterations", "fetched", "lost"):
        out[name] = workers[name]
    out["busy"] = workers["busy_ps"] * 1e-12
    return out


def traffic(tables: Tables, cluster: ClusterSpec) -> NDArray[Any]:
    """See `Simulator.traffic`."""
    table = tables["traffic"]
    some = np.flatnonzero(table["transfers"] + table["given_up"])
    out = np.zeros(len(some), TRAFFIC)
    out["source"], out["target"] = np.divmod(some, len(cluster))
    nodes = tables["workers"]["node"]
    out["kind"] = np.where(nodes[out["source"]] == nodes[out["target"]], "inside", "between")
    for name in ("transfers", "tokens", "given_up"):
        out[name] = table[name][some]
    out["bytes"] = out["tokens"] * cluster.workers[0].kv_bytes_per_token
    out["seconds"] = table["ps"][some] * 1e-12
    return out


def iterations(tables: Tables) -> NDArray[Any]:
    """See `Simulator.iterations`: a run of decode iterations is written out iteration by iteration."""
    log = tables["iterations"][: int(tables["clock"]["n_log"][0])]
    rows = np.repeat(np.arange(len(log)), log["run"])
    j = np.arange(len(rows)) - np.repeat(np.cumsum(log["run"]) - log["run"], log["run"])
    log = log[rows]
    out = np.zeros(len(log), ITERATION)
    for name in ("worker", "prefill_tokens", "chunks", "decodes", "queued", "preempted"):
        out[name] = log[name]
    out["kv_tokens"] = log["kv_tokens"] + j * log["decodes"]
    out["start"] = (log["start_ps"] + j * log["first_ps"] + log["slope_ps"] * (j * (j - 1) // 2)) * 1e-12
    out["duration"] = (log["first_ps"] + j * log["slope_ps"]) * 1e-12
    out["wait_reason"] = np.array(WAIT_REASONS)[log["wait_reason"]]
    return out[np.argsort(out["start"], kind="stable")]


def prompt_pages(tables: Tables, request: int) -> NDArray[np.int64]:
    """Ids of the full prompt pages of `request` (-1: none), in order."""
    if request < 0:
        return np.zeros(0, np.int64)
    row = tables["requests"][request]
    path = tables["paths"][row["path_start"] : row["path_start"] + row["path_nodes"]]
    nodes = tables["nodes"][path]
    counts = np.clip(row["prompt_pages"] - nodes["start_page"], 0, nodes["n_pages"])
    starts = np.repeat(tables["page_ids"][path] - (np.cumsum(counts) - counts), counts)
    return starts + np.arange(len(starts))


def candidates(features: NDArray[np.float64]) -> NDArray[Any]:
    """Structured rows from the features that the kernel writes, (slots, fields of CANDIDATE)."""
    out = np.zeros(len(features), CANDIDATE)
    for column, name in enumerate(CANDIDATE.names or ()):
        out[name] = features[:, column]
    return out
