"""The cluster as text: a line per worker."""

from __future__ import annotations

from kvgym.envs.scene import Scene, WorkerScene

_BAR = 20


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
