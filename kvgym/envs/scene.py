"""The cluster as it is shown: read from the simulator's tables once; as text here, as a picture in `picture`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.sim import Simulator
from kvgym.workload import Workload

_BAR = 20


@dataclass(frozen=True, slots=True)
class WorkerScene:
    """A worker, now.

    Attributes:
        up: False while it is down.
        pages: KV memory, in pages.
        locked: Pages that running requests and transfers use.
        cached: Pages that may be evicted; the rest is free.
        running: Requests in the batch.
        queued: Requests in the queue.
        fetching: Requests that wait for pages of another worker.
        hit: Prompt tokens of the request to route that would hit, as the view shows the cache.
        offered: Further prompt tokens of it that could be fetched from another worker.
        offered_s: Seconds until those would be here.
        incoming: Transfers under way to it, decided first the first: worker that sends, and the share that is there.
    """

    up: bool
    pages: int
    locked: int
    cached: int
    running: int
    queued: int
    fetching: int
    hit: int
    offered: int
    offered_s: float
    incoming: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """A cluster, now.

    Attributes:
        time_s: Seconds since the start.
        n_arrived: Requests that have arrived.
        n_finished: Requests that have finished.
        n_refused: Requests that were refused.
        request: The one that is to be routed, or for which pages are wanted; -1: no decision is due.
        prompt_tokens: Its prompt.
        session: Its session.
        asking: The worker whose EVICT decision is due; -1: none.
        wanted: Pages that it still has to evict.
        tails: Per slot of an EVICT decision the pages that its leaf would give up, 0 = no leaf; () in rule form.
        n_slots: Slots of the EVICT decisions of this cluster, whether one is due or not.
        transfers: Whether pages may be fetched from other workers.
        sent: The request that was routed, or refused, last after the warm-up; -1: none.
        sent_to: The worker that it was sent to, or is on since; -1: it came back, or was refused.
        was_refused: Whether it was.
        e2e_s: Mean latency of the requests after the warm-up that have finished, in seconds; NaN: none.
        ttft_s: Mean time to first token of the same, in seconds.
        workers: All of them.
    """

    time_s: float
    n_arrived: int
    n_finished: int
    n_refused: int
    request: int
    prompt_tokens: int
    session: int
    asking: int
    wanted: int
    tails: tuple[int, ...]
    n_slots: int
    transfers: bool
    sent: int
    sent_to: int
    was_refused: bool
    e2e_s: float
    ttft_s: float
    workers: tuple[WorkerScene, ...]

    @property
    def routes(self) -> bool:
        """Whether a ROUTE decision is due."""
        return self.request >= 0 and self.asking < 0


def read_scene(sim: Simulator) -> Scene:
    """The cluster now; nothing is changed.

    Raises:
        RuntimeError: Before `reset()`.
    """
    now = sim.now  # raises before reset()
    clock, rows = sim.tables["clock"][0], sim.tables["workers"]
    asking, due = int(clock["asking"]), int(clock["request"])
    tails: tuple[int, ...] = ()
    if asking >= 0 and sim.settings.candidates:
        tails = tuple(sim.candidates()["tail_pages"].tolist())
    request = int(rows["asker"][asking]) if asking >= 0 else due
    shown = sim.tables["requests"][request] if request >= 0 else None
    incoming = _read_transfers(sim)
    progress = sim.tables["progress"]
    sent = np.flatnonzero((progress["arrived_ps"] >= 0) & (progress["decision"] == clock["n_decided"] - 1))
    last = int(sent[-1]) if clock["n_decided"] > 0 and len(sent) else -1
    e2e_s, ttft_s = _read_latencies(sim)
    return Scene(
        time_s=now,
        n_arrived=int(clock["n_arrived"]),
        n_finished=int(clock["n_finished"]),
        n_refused=int(np.count_nonzero(progress["refused_ps"] >= 0)),
        request=request,
        prompt_tokens=0 if shown is None else int(shown["prompt_tokens"]),
        session=-1 if shown is None else int(shown["session"]),
        asking=asking,
        wanted=int(rows["wanted"][asking]) if asking >= 0 else 0,
        tails=tails,
        n_slots=sim.settings.candidates,
        transfers=sim.settings.transfers,
        sent=last,
        sent_to=int(progress["worker"][last]) if last >= 0 else -1,
        was_refused=last >= 0 and bool(progress["refused_ps"][last] >= 0),
        e2e_s=e2e_s,
        ttft_s=ttft_s,
        workers=tuple(_read_worker(sim, w, row, due, tuple(incoming.get(w, ()))) for w, row in enumerate(rows)),
    )


def _read_transfers(sim: Simulator) -> dict[int, list[tuple[int, float]]]:
    """`WorkerScene.incoming` of each worker to which something is on its way."""
    clock, incoming = sim.tables["clock"][0], dict[int, list[tuple[int, float]]]()
    for row in sim.tables["transfers"][: int(clock["n_transfers"])]:
        start, end, now = int(row["start_ps"]), int(row["end_ps"]), int(clock["now_ps"])
        share = (now - start) / (end - start) if end > start else 0.0
        incoming.setdefault(int(row["target"]), []).append((int(row["source"]), min(1.0, max(0.0, share))))
    return incoming


def _read_latencies(sim: Simulator) -> tuple[float, float]:
    """`Scene.e2e_s` and `ttft_s`."""
    done = sim.tables["progress"][sim.tables["finished"][: int(sim.tables["clock"]["n_finished"][0])]]
    done = done[done["decision"] >= 0]
    if len(done) == 0:
        return float("nan"), float("nan")
    arrived = done["arrived_ps"]
    return tuple(1e-12 * float(np.mean(done[end] - arrived)) for end in ("finish_ps", "first_token_ps"))  # type: ignore[return-value]


def prefix_groups(workload: Workload) -> NDArray[np.int64]:
    """The prefix group of each node, int64 (nodes,): where prompts first part, -1 above that.

    Groups are numbered by their first request.
    """
    parent = workload.nodes["parent"].astype(np.int64)
    chosen = np.flatnonzero(parent < 0)
    group = np.full(len(parent), -1, np.int64)
    while len(chosen) == 1 and np.any(parent == chosen[0]):
        chosen = np.flatnonzero(parent == chosen[0])
    group[chosen] = np.arange(len(chosen))
    while True:  # a level of the tree in each round
        found = (group < 0) & (parent >= 0)
        found[found] = group[parent[found]] >= 0
        if not found.any():
            return group
        group[found] = group[parent[found]]


def cached_by_group(sim: Simulator, groups: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Per worker: prefix groups of which pages may be evicted, ascending, and how many; `groups` as `prefix_groups`."""
    rows, nodes = sim.tables["rows"], sim.tables["nodes"]
    m, n_shared = len(sim.cluster), int(sim.tables["config"]["n_shared"][0])
    index = np.flatnonzero(rows["cached"])
    row = rows[index]
    locked = np.where(row["locks"] > 0, nodes["n_pages"][row["node"]], row["part_pages"])
    pages = np.maximum(row["cached"] - locked, 0)
    private = sim.tables["progress"]["worker"][nodes["first_request"][row["node"]]]
    worker = np.where(index < n_shared * m, index % m, private)
    size = int(groups.max(initial=0)) + 2
    shown = pages > 0
    keys, where = np.unique(worker[shown] * size + groups[row["node"]][shown] + 1, return_inverse=True)
    sums = np.bincount(where, pages[shown], len(keys)).astype(np.int64)
    ends = np.searchsorted(keys, np.arange(m + 1) * size)
    return [(keys[a:b] % size - 1, sums[a:b]) for a, b in pairwise(ends.tolist())]


def _read_worker(sim: Simulator, w: int, row: Any, due: int, incoming: tuple[tuple[int, float], ...]) -> WorkerScene:
    up = bool(row["up"])
    pages, free, evictable = int(row["kv_pages"]), int(row["free"]), int(row["evictable"])
    shows_request = up and due >= 0
    offered, offered_s = sim.offer(w, due) if shows_request else (0, 0.0)
    return WorkerScene(
        up=up,
        pages=pages,
        locked=pages - free - evictable,
        cached=evictable,
        running=int(row["n_running"]),
        queued=int(row["n_queued"]),
        fetching=int(row["n_fetching"]),
        hit=sim.visible_hit(w, due) if shows_request else 0,
        offered=offered,
        offered_s=offered_s,
        incoming=incoming,
    )


def render_text(scene: Scene) -> str:
    """The time, the decision that is due, and per worker its memory, batch and queue.

    In the memory bar `#` is locked by running requests and transfers, `+` cached, `.` free. A worker that is down says
    so. With transfers: requests that wait for pages of another worker, and what could be fetched for the one due.
    """
    lines = [f"time {scene.time_s:.3f} s, {scene.n_arrived} arrived, {scene.n_finished} finished"]
    if scene.n_refused:
        lines[0] += f", {scene.n_refused} refused"
    if scene.request >= 0:
        lines.append(f"request {scene.request}: {scene.prompt_tokens} prompt tokens, session {scene.session}")
    if scene.asking >= 0:
        lines.append(f"evict {scene.wanted} pages on worker {scene.asking}")
        if scene.tails:
            lines[-1] += ", slots with " + " ".join(str(tail or "-") for tail in scene.tails)
    lines += [f"worker {w} {_worker(scene, worker)}" for w, worker in enumerate(scene.workers)]
    return "\n".join(lines)


def _worker(scene: Scene, worker: WorkerScene) -> str:
    full = round(_BAR * worker.locked / worker.pages)
    cached = round(_BAR * (worker.locked + worker.cached) / worker.pages) - full
    bar = "#" * full + "+" * cached + "." * (_BAR - full - cached)
    if not worker.up:
        return f"[{bar}] down"
    line = f"[{bar}] running {worker.running:4d}  queued {worker.queued:4d}"
    if scene.transfers:
        line += f"  fetching {worker.fetching:4d}"
    if scene.routes:
        line += f"  hit {worker.hit:6d}"
        if scene.transfers:
            line += f"  could fetch {worker.offered:6d} in {1e3 * worker.offered_s:.1f} ms"
    return line
