"""One recorded agent session: its requests' block lists, predecessors and think times."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kvgym.workload.trace_file import Record, is_whole

TAIL_SEGMENT = 2**60  # plus the request's number: tokens after the last full block, which nobody shares
Run = tuple[int, int, int]  # segment, first block in it, number of blocks


@dataclass
class AgentRows:
    """Requests of all sessions, in the order of the file.

    Attributes:
        runs: per request a (k, 3) int64 array: segment, offset, tokens.
        n_sessions: sessions read.
        prefixes: number of each pair (tool, sys).
    """

    runs: list[NDArray[np.int64]] = field(default_factory=list)
    output: list[int] = field(default_factory=list)
    time: list[float] = field(default_factory=list)
    think: list[float] = field(default_factory=list)
    predecessor: list[int] = field(default_factory=list)
    trace_session: list[int] = field(default_factory=list)
    agent: list[int] = field(default_factory=list)
    turn: list[int] = field(default_factory=list)
    tenant: list[int] = field(default_factory=list)
    n_sessions: int = 0
    n_agents: int = 0
    prefixes: dict[tuple[int, int], int] = field(default_factory=dict)


@dataclass
class _Agent:
    """Where one agent of a session stands after its last request."""

    number: int
    turn: int
    request: int
    end: float  # recorded time of its last answer
    blocks: list[Run]


def read_session(session: Record, rows: AgentRows, shared_prefixes: bool) -> None:
    """Appends a session's requests to `rows`."""
    block_tokens = session.whole("bs", 1)
    pair = session.whole("tool", 0), session.whole("sys", 0)
    tenant = rows.prefixes.setdefault(pair, len(rows.prefixes))
    shared_blocks = sum(pair) // block_tokens if shared_prefixes else 0
    naming = _Naming(own=2 * rows.n_sessions + 1, shared=2 * tenant, left=shared_blocks)
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

        request = len(rows.runs)
        rows.runs.append(_token_runs(record, blocks, block_tokens, request))
        rows.output.append(max(1, record.whole("out", 0)))
        rows.time.append(time)
        rows.think.append(think)
        rows.predecessor.append(leader.request if leader else -1)
        rows.trace_session.append(rows.n_sessions)
        rows.tenant.append(tenant)
        if last is None:
            last = agents[key] = _Agent(rows.n_agents, -1, request, 0.0, blocks)
            rows.n_agents += 1
        last.turn, last.request, last.blocks = last.turn + 1, request, blocks
        last.end = time + (record.optional_seconds("api") or 0.0)
        rows.agent.append(last.number)
        rows.turn.append(last.turn)
    rows.n_sessions += 1


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
