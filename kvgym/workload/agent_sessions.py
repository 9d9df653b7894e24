"""Reader of recorded agent sessions: closed loops of requests whose prompts grow, are cut back and grow again."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvgym._check import choice, flag, whole
from kvgym.workload.arrivals import poisson_arrivals
from kvgym.workload.checks import positive
from kvgym.workload.random import Seed
from kvgym.workload.trace_file import Record, TraceError, TraceSource, is_whole, read_records
from kvgym.workload.workload import Workload

TAIL_SEGMENT = 2**60  # plus the request's number: tokens after the last full block, which nobody shares
Run = tuple[int, int, int]  # segment, first block in it, number of blocks


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
    skip_bad: bool = False,
    header_lines: int = 0,
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
        skip_bad: skips, and counts in a warning, sessions that are not in the format.
        header_lines: lines at the beginning that are skipped.

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

    trace = _Trace()
    seen = 0

    def parse(record: Record) -> int:
        nonlocal seen
        if seen >= first_session:
            n_requests, n_agents = len(trace.requests), trace.n_agents
            try:
                _read_session(record, trace, shared_prefixes)
            except TraceError:
                del trace.requests[n_requests:]
                trace.n_agents = n_agents
                raise
        seen += 1
        return seen

    for number in read_records(source, parse, skip_bad=skip_bad, header_lines=header_lines):
        if number >= stop:
            break
    if not trace.n_sessions:
        raise ValueError(f"first_session must be smaller than the number of sessions, got {first_session}")
    if starts == "poisson":
        begin = poisson_arrivals(seed, trace.n_sessions, sessions_per_s)
    else:
        begin = np.arange(trace.n_sessions) / sessions_per_s

    token_runs, *columns = zip(*trace.requests, strict=True)
    output, time, think, leader, session, agent, turn, tenant = map(np.array, columns)
    # Within a session times ascend, so a predecessor keeps its place before its successors.
    start = begin[session]
    order = np.argsort(start + time, kind="stable")[:limit]
    place = np.full(len(start) + 1, -1)  # the last entry stands for "no predecessor"
    place[order] = np.arange(len(order))
    predecessor = place[leader[order]]
    runs = [token_runs[i] for i in order]
    segments, offsets, lengths = np.concatenate(runs).T
    return Workload.from_segments(
        np.append(0, np.cumsum([len(run) for run in runs])),
        segments,
        offsets,
        lengths,
        output[order],
        np.where(predecessor < 0, start[order] / rate_scale, np.nan),
        page_size,
        predecessors=predecessor,
        think_times=think[order] / rate_scale,
        sessions=agent[order],
        turns=turn[order],
        tenants=tenant[order],
        name="agent_sessions",
    )


class _Request(NamedTuple):
    runs: NDArray[np.int64]  # (k, 3): segment, offset, tokens
    output: int
    time: float
    think: float
    predecessor: int
    session: int  # of the trace
    agent: int
    turn: int
    tenant: int


@dataclass
class _Trace:
    """What was read so far: requests in the order of the file; the number of each pair (tool, sys)."""

    requests: list[_Request] = field(default_factory=list)
    n_sessions: int = 0
    n_agents: int = 0
    prefixes: dict[tuple[int, int], int] = field(default_factory=dict)


class _Agent(NamedTuple):
    """Where one agent of a session stands after its last request."""

    number: int
    turn: int
    request: int
    end: float  # recorded time of its last answer
    blocks: list[Run]


def _read_session(session: Record, trace: _Trace, shared_prefixes: bool) -> None:
    block_tokens = session.whole("bs", 1)
    pair = session.whole("tool", 0), session.whole("sys", 0)
    tenant = trace.prefixes.setdefault(pair, len(trace.prefixes))
    shared_blocks = sum(pair) // block_tokens if shared_prefixes else 0
    naming = _Naming(own=2 * trace.n_sessions + 1, shared=2 * tenant, left=shared_blocks)
    agents: dict[int, _Agent] = {}
    previous = 0.0
    records = session.items("reqs", "requests")
    if not records:
        raise session.error("expected at least one request in 'reqs', got an empty list")
    for k, value in enumerate(records):
        record = Record(f"{session.place}, request {k + 1}", value)
        time, key = record.seconds("t"), record.whole("a", 0)
        if time < previous:
            raise record.error(f"expected 't' in ascending order, got {time} after {previous}")
        if k == 0 and key != 0:
            raise record.error(f"expected the first request to be the main agent's ('a' = 0), got {key}")
        previous = time
        last = agents.get(key)
        leader = last or agents.get(0)
        think = record.optional_seconds("think")
        if last is None or think is None:
            think = 0.0 if leader is None else max(0.0, time - leader.end)
        blocks = _blocks(record, last.blocks if last else [], naming)
        naming.left = 0  # only the session's first prompt opens with the shared prefix
        request = len(trace.requests)
        runs = _token_runs(record, blocks, block_tokens, request)
        output, before = max(1, record.whole("out", 0)), leader.request if leader else -1
        agent, turn = (last.number, last.turn + 1) if last else (trace.n_agents, 0)
        trace.n_agents += last is None
        trace.requests.append(_Request(runs, output, time, think, before, trace.n_sessions, agent, turn, tenant))
        agents[key] = _Agent(agent, turn, request, time + (record.optional_seconds("api") or 0.0), blocks)
    trace.n_sessions += 1


@dataclass
class _Naming:
    """Gives a session's block ids segments: the first `left` blocks, and their ids ever after, lie in `shared`."""

    own: int
    shared: int
    left: int
    renamed: list[tuple[int, int, int]] = field(default_factory=list)  # first id, end id, place in the shared prefix
    place: int = 0

    def rename(self, first: int, count: int) -> None:
        """Puts what the shared prefix still lacks of these blocks into it."""
        part = min(self.left, count)
        if part:
            self.renamed.append((first, first + part, self.place))
            self.place, self.left = self.place + part, self.left - part

    def runs(self, first: int, count: int) -> list[Run]:
        """The blocks first .. first+count-1 as runs of segments."""
        for low, high, place in self.renamed:
            begin, end = max(first, low), min(first + count, high)
            if begin < end:
                middle = (self.shared, place + begin - low, end - begin)
                return [*self.runs(first, begin - first), middle, *self.runs(end, first + count - end)]
        return [(self.own, first, count)] if count else []


def _blocks(record: Record, previous: list[Run], naming: _Naming) -> list[Run]:
    """The request's block list: the first `keep` blocks of the previous one, then `add`."""
    keep = record.whole("keep", 0)
    had = sum(run[2] for run in previous)
    if keep > had:
        raise record.error(f"expected 'keep' to be at most {had}, the blocks of the agent's last request; got {keep}")
    blocks: list[Run] = []
    for segment, first, count in previous:
        if keep == 0:
            break
        blocks.append((segment, first, min(count, keep)))
        keep -= min(count, keep)
    for run in record.items("add", "[first id, length] pairs"):
        if not (isinstance(run, list) and len(run) == 2 and all(is_whole(x) for x in run) and run[0] >= 0 < run[1]):
            raise record.error(f"expected 'add' to hold [first id >= 0, length > 0] pairs, got {run!r}")
        naming.rename(run[0], run[1])
        blocks.extend(naming.runs(run[0], run[1]))
    return blocks


def _token_runs(record: Record, blocks: list[Run], block_tokens: int, request: int) -> NDArray[np.int64]:
    tokens = record.whole("in", 1)
    tail = tokens - block_tokens * sum(run[2] for run in blocks)
    if not 0 <= tail < block_tokens:
        full = tokens // block_tokens
        raise record.error(f"expected 'keep' and 'add' to make {full} blocks, the full ones of {tokens} tokens")
    runs = np.array([*blocks, (0, 0, 0)], np.int64)
    runs[:-1, 1:] *= block_tokens
    runs[-1] = TAIL_SEGMENT + request, 0, tail
    return runs
