"""Reader of recorded agent sessions: closed loops of requests whose prompts grow, are cut back and grow again."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from kvgym._check import choice, flag, whole
from kvgym.workload.agent_blocks import AgentRows, read_session
from kvgym.workload.arrivals import poisson_arrivals
from kvgym.workload.checks import positive
from kvgym.workload.random import Seed
from kvgym.workload.trace_file import TraceSource, read_records
from kvgym.workload.workload import Workload


def read_agent_sessions(
    source: TraceSource,
    page_size: int,
    *,
    rate_scale: float = 1.0,
    sessions_per_s: float = 1 / 60,
    starts: Literal["poisson", "fixed"] = "poisson",
    seed: Seed = 0,
    shared_prefixes: bool = True,
    first_session: int = 0,
    max_sessions: int | None = None,
    max_requests: int | None = None,
) -> Workload:
    """Sessions from JSON lines with `bs`, `tool`, `sys`, `reqs` (each `t, a, in, out, api, think, keep, add`).

    A request follows the one before it of the same agent after `think` seconds; where that is null, after the gap of
    the recorded times `t` less the recorded service time `api`, at least 0. The first request of a session arrives at
    the session's start. The first request of a sub-agent (a > 0) follows the main agent's latest request before it,
    with that gap as think time; the main agent does not wait for sub-agents. Each agent is a session of its own; its
    tenant is the number of its trace session's pair (tool, sys). Requests are ordered by the time at which they would
    arrive at the recorded pace.

    A prompt's blocks are those of the same agent's last prompt up to `keep`, then the runs of `add`; the tokens after
    the last full block are private, and so are outputs (blocks of later prompts stand for them under ids of their own).
    An output of length 0 counts as 1.

    Args:
        source: a path or an open file; plain or gzip.
        page_size: tokens per page.
        rate_scale: 2 = twice as fast: divides session starts and think times.
        sessions_per_s: rate of session starts, before `rate_scale`.
        starts: "poisson" or "fixed" spacing; the first session starts at 0.
        seed: of the session starts.
        shared_prefixes: block ids are local to a session; True takes an equal pair (tool, sys) as the sign of an equal
            prefix of tool + sys tokens (its whole blocks) in the first prompts of sessions.
        first_session: sessions before this one are left out.
        max_sessions: at most so many sessions.
        max_requests: only the first ones in order.

    Raises:
        TraceError: for a trace not in this format.
        ValueError: for another argument, or if no session is left.
    """
    positive("rate_scale", rate_scale)
    positive("sessions_per_s", sessions_per_s)
    choice("starts", starts, ("poisson", "fixed"))
    flag("shared_prefixes", shared_prefixes)
    whole("first_session", first_session, 0)
    stop = math.inf if max_sessions is None else first_session + whole("max_sessions", max_sessions, 1)
    limit = None if max_requests is None else whole("max_requests", max_requests, 1)

    rows = AgentRows()
    for number, record in enumerate(read_records(source)):
        if number >= stop:
            break
        if number >= first_session:
            read_session(record, rows, shared_prefixes)
    if rows.n_sessions == 0:
        raise ValueError(f"first_session must be smaller than the number of sessions, got {first_session}")
    if starts == "poisson":
        begin = poisson_arrivals(seed, rows.n_sessions, sessions_per_s)
    else:
        begin = np.arange(rows.n_sessions) / sessions_per_s

    # Within a session times ascend, so a predecessor keeps its place before its successors.
    start = begin[np.array(rows.trace_session)]
    order = np.argsort(start + np.array(rows.time), kind="stable")[:limit]
    place = np.full(len(start) + 1, -1)  # the last entry stands for "no predecessor"
    place[order] = np.arange(len(order))
    predecessor = place[np.array(rows.predecessor)[order]]
    runs = [rows.runs[i] for i in order]
    flat = np.concatenate(runs)
    return Workload.from_segments(
        np.append(0, np.cumsum([len(run) for run in runs])),
        flat[:, 0],
        flat[:, 1],
        flat[:, 2],
        np.array(rows.output)[order],
        np.where(predecessor < 0, start[order] / rate_scale, np.nan),
        page_size,
        predecessors=predecessor,
        think_times=np.array(rows.think)[order] / rate_scale,
        sessions=np.array(rows.agent)[order],
        turns=np.array(rows.turn)[order],
        tenants=np.array(rows.tenant)[order],
        name="agent_sessions",
    )
