"""The cluster as text: a line per worker."""

from __future__ import annotations

from kvgym.sim import Simulator

_BAR = 20


def render_text(sim: Simulator) -> str:
    """The time, the request that is due, and per worker its memory, batch and queue.

    In the memory bar `#` is locked by running requests and transfers, `+` cached, `.` free. A worker that is down says
    so. With transfers: requests that wait for pages of another worker, and what could be fetched for the one due.
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
        if not worker["up"]:
            lines.append(f"worker {w} [{bar}] down")
            continue
        line = f"worker {w} [{bar}] running {worker['n_running']:4d}  queued {worker['n_queued']:4d}"
        if sim.settings.transfers:
            line += f"  fetching {worker['n_fetching']:4d}"
        if due >= 0:
            line += f"  hit {sim.visible_hit(w, due):6d}"
            if sim.settings.transfers:
                tokens, seconds = sim.offer(w, due)
                line += f"  could fetch {tokens:6d} in {1e3 * seconds:.1f} ms"
        lines.append(line)
    return "\n".join(lines)
