"""The cluster as it is shown: read from the simulator's tables once; as text here, as a picture in `picture`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kvgym.sim import Simulator

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


@dataclass(frozen=True, slots=True)
class Scene:
    """A cluster, now.

    Attributes:
        time_s: Seconds since the start.
        n_arrived: Requests that have arrived.
        n_finished: Requests that have finished.
        request: The one that is to be routed, or for which pages are wanted; -1: no decision is due.
        prompt_tokens: Its prompt.
        session: Its session.
        asking: The worker whose EVICT decision is due; -1: none.
        wanted: Pages that it still has to evict.
        tails: Per slot of an EVICT decision the pages that its leaf would give up, 0 = no leaf; () in rule form.
        n_slots: Slots of the EVICT decisions of this cluster, whether one is due or not.
        transfers: Whether pages may be fetched from other workers.
        workers: All of them.
    """

    time_s: float
    n_arrived: int
    n_finished: int
    request: int
    prompt_tokens: int
    session: int
    asking: int
    wanted: int
    tails: tuple[int, ...]
    n_slots: int
    transfers: bool
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
    return Scene(
        time_s=now,
        n_arrived=int(clock["n_arrived"]),
        n_finished=int(clock["n_finished"]),
        request=request,
        prompt_tokens=0 if shown is None else int(shown["prompt_tokens"]),
        session=-1 if shown is None else int(shown["session"]),
        asking=asking,
        wanted=int(rows["wanted"][asking]) if asking >= 0 else 0,
        tails=tails,
        n_slots=sim.settings.candidates,
        transfers=sim.settings.transfers,
        workers=tuple(_read_worker(sim, w, row, due) for w, row in enumerate(rows)),
    )


def _read_worker(sim: Simulator, w: int, row: Any, due: int) -> WorkerScene:
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
    )


def render_text(scene: Scene) -> str:
    """The time, the decision that is due, and per worker its memory, batch and queue.

    In the memory bar `#` is locked by running requests and transfers, `+` cached, `.` free. A worker that is down says
    so. With transfers: requests that wait for pages of another worker, and what could be fetched for the one due.
    """
    lines = [f"time {scene.time_s:.3f} s, {scene.n_arrived} arrived, {scene.n_finished} finished"]
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
