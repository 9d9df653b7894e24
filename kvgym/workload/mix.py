"""Several workloads at once: what makes bursts of a tenant, new hot prefixes and scans out of what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from kvgym._check import finite
from kvgym.workload.measure import nominal_arrivals
from kvgym.workload.tables import subset
from kvgym.workload.workload import Workload

_TURN = 0.6180339887498949  # of the hashes of one part to those of the next


class Part(NamedTuple):
    """A workload and the time at which its time 0 is; requests that come at `until_s` or later are left out."""

    workload: Workload
    start_s: float = 0.0
    until_s: float | None = None


def mix(parts: Sequence[Part], requests: int | None = None) -> Workload:
    """One workload of all parts, in order of time (in a closed loop: as if answers took 20 ms a token).

    Parts share no tokens; their sessions and tenants are other ones.

    Args:
        parts: one or more, of one page size.
        requests: only the first ones, at most.

    Raises:
        ValueError: for parts of different page sizes, or where no request is left.
    """
    if not parts or len({part.workload.page_size for part in parts}) != 1:
        raise ValueError(f"parts must be one or more workloads of one page size, got {len(parts)}")
    tables, nodes, paths, times, kept = [], [], [], [], []
    n_nodes = n_paths = n = session = tenant = 0
    for number, part in enumerate(parts):
        start = finite("start_s", part.start_s, 0.0, 4e6)
        rows, own = part.workload.requests.copy(), part.workload.nodes.copy()
        rows["arrival_ps"][rows["predecessor"] < 0] += round(start * 1e12)
        rows["predecessor"][rows["predecessor"] >= 0] += n
        own["parent"][own["parent"] >= 0] += n_nodes
        for name, offset in (("path_start", n_paths), ("session", session), ("tenant", tenant)):
            rows[name] += offset
        for name in ("prefix_u", "session_u"):  # equal ones of different parts are no sign of anything
            rows[name] = (rows[name] + np.float32(number * _TURN % 1.0)) % np.float32(1.0)
        at = nominal_arrivals(part.workload) + start
        times.append(at)
        kept.append(at < (np.inf if part.until_s is None else finite("until_s", part.until_s)))
        tables.append(rows)
        nodes.append(own)
        paths.append(part.workload.paths + np.int32(n_nodes))
        n, n_nodes, n_paths = n + len(rows), n_nodes + len(own), n_paths + len(part.workload.paths)
        session, tenant = int(rows["session"].max()) + 1, int(rows["tenant"].max()) + 1
    table, all_paths = np.concatenate(tables), np.concatenate(paths)
    order = np.argsort(np.concatenate(times), kind="stable")
    place = np.full(n + 1, -1, np.int32)  # the last entry stands for "no predecessor"
    place[order] = np.arange(n)
    table = table[order]
    table["predecessor"] = place[table["predecessor"]]
    ends = np.cumsum(table["path_nodes"], dtype=np.int64)
    shift = table["path_start"] - (ends - table["path_nodes"])
    all_paths = all_paths[np.arange(n_paths) + np.repeat(shift, table["path_nodes"])]
    keep = np.concatenate(kept)[order]
    if requests is not None:
        keep &= np.cumsum(keep) <= requests
    if not keep.any():
        raise ValueError("parts must have a request before their until_s, got none")
    table, made, all_paths, n_shared = subset(table, np.concatenate(nodes), all_paths, keep)
    dropped = sum(part.workload.n_dropped for part in parts)
    whole = parts[0].workload
    return replace(whole, requests=table, nodes=made, paths=all_paths, n_shared=n_shared, name="mix", n_dropped=dropped)
