"""The cluster as text: a line per worker."""

from __future__ import annotations

from kvgym.sim import Simulator

_BAR = 20


def render_text(sim: Simulator) -> str:
    """The time, the request that is due, and per worker its memory, batch and queue.

    In the memory bar `#` is locked by running requests, `+` cached, `.` free.
    """
    now = sim.now  # raises before reset()
    clock = sim.tables["clock"][0]
    requests = sim.tables["requests"]
    due = int(clock["request"])
    lines = [f"time {now:.3f} s, {clock['n_arrived']} arrived, {clock['n_finished']} finished"]
    if due >= 0:
        request = requests[due]
        lines.append(f"request {due}: {request['prompt_tokens']} prompt tokens, session {request['session']}")
    for w, worker in enumerate(sim.tables["workers"]):
        pages = int(worker["kv_pages"])
        locked = pages - int(worker["free"]) - int(worker["evictable"])
        full = round(_BAR * locked / pages)
        cached = round(_BAR * (pages - int(worker["free"])) / pages) - full
        bar = "#" * full + "+" * cached + "." * (_BAR - full - cached)
        line = f"worker {w} [{bar}] running {worker['n_running']:4d}  queued {worker['n_queued']:4d}"
        if due >= 0:
            line += f"  hit {sim.visible_hit(w, due):6d}"
        lines.append(line)
    return "\n".join(lines)
