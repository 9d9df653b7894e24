"""Coding agents: sessions of many turns over a growing context, most of it read again at every turn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvgym._check import finite, whole
from kvgym.workload.arrivals import Process, arrive
from kvgym.workload.checks import positive
from kvgym.workload.random import KINDS, LENGTHS, OUTPUTS, PREFIXES, RESETS, THINK, TURNS, Seed, Stream
from kvgym.workload.workload import Workload

# Fitted to recorded sessions of coding agents (kv-cache-tester's traces of agentic coding, 710 sessions): mu and sigma
# of the logarithm.
_TURNS = (3.67, 1.16)
_GROWTH = (6.65, 1.14)
_OUTPUT = (5.57, 0.89)
_TOOL_GAP_S = (2.52, 1.29)
_USER_GAP_S = (3.70, 1.79)
_TOOL_SHARE = 0.87
_RESET_SHARE = 0.017


Ints = NDArray[np.int64]


class _Turns(NamedTuple):
    """All turns of all sessions, in the order of sessions, then turns; (n,) each."""

    session: Ints
    turn: Ints
    added: Ints  # tokens in front of the answer: message, tool result, or what a cut-back context begins with
    output: Ints
    since: Ints  # the turn at which the context begins, after the prefix


def coding_agents(
    seed: Seed,
    page_size: int,
    *,
    requests: int = 1000,
    session_rate: float = 0.2,
    arrivals: Process | None = None,
    prefixes: int = 8,
    prefix_tokens: int = 12_000,
    first_tokens: int = 4_000,
    max_context: int = 64_000,
    max_turns: int = 64,
    time_scale: float = 1.0,
) -> Workload:
    """Sessions in a closed loop: they start by a Poisson process, and each turn follows the last answer after a pause.

    A prompt is a prefix (tools and system prompt, one of a pool by Zipf's law), then messages or tool results and
    answers so far. Lengths and pauses are log-normal, with the figures of recorded sessions. A context that would grow
    beyond `max_context`, and now and then another one, is cut back: prefix, a summary, and on from there. Answers are
    identified tokens, so that the next turn finds them in the cache. Requests are ordered by session start, then turn;
    more requests leave the sessions before the last ones as they are.

    Args:
        seed: an integer >= 0 or a SeedSequence.
        page_size: tokens per page.
        requests: at least so many; the last session is whole.
        session_rate: sessions that start per second.
        arrivals: another process of these starts than Poisson, see `arrive`; its "rate" goes before `session_rate`.
        prefixes: size of the pool; the k-th is chosen with probability proportional to 1 / k.
        prefix_tokens: tokens of each prefix.
        first_tokens: median of the first message (sources, task), and of a summary.
        max_context: most tokens of a prompt, at least prefix_tokens + 2.
        max_turns: most turns of a session.
        time_scale: pauses are multiplied by this.

    Raises:
        ValueError: for an argument outside these.
    """
    whole("requests", requests, 1)
    positive("session_rate", session_rate)
    whole("prefixes", prefixes, 1)
    whole("prefix_tokens", prefix_tokens, 0)
    whole("first_tokens", first_tokens, 1)
    whole("max_context", max_context, prefix_tokens + 2)
    whole("max_turns", max_turns, 1)
    finite("time_scale", time_scale)
    turns = _draw_turns(seed, requests, max_turns, prefix_tokens, first_tokens, max_context)
    n = len(turns.turn)
    # Runs of a prompt: the prefix, then (added, answer) of each turn since the context began, without the last answer.
    past = turns.turn - turns.since
    splits = np.append(0, np.cumsum(2 * past + 2))
    request = np.repeat(np.arange(n), 2 * past + 2)
    place = np.arange(splits[-1]) - splits[request] - 1
    of = request - past[request] + np.maximum(place, 0) // 2
    is_answer = place % 2 == 1
    n_sessions = int(turns.session[-1]) + 1
    zipf = np.cumsum(1.0 / np.arange(1, prefixes + 1))
    pool = np.searchsorted(zipf, Stream(seed, PREFIXES).uniform(n_sessions) * zipf[-1], side="right")
    pool = np.minimum(pool, prefixes - 1)
    segments = np.where(place < 0, pool[turns.session[request]], prefixes + 2 * of + is_answer)
    lengths = np.where(place < 0, prefix_tokens, np.where(is_answer, turns.output[of], turns.added[of]))
    opens = turns.turn == 0
    starts = arrive(seed, n_sessions, arrivals, session_rate).seconds
    return Workload.from_segments(
        splits,
        segments,
        np.zeros_like(segments),
        lengths,
        turns.output,
        np.where(opens, starts[turns.session], np.nan),
        page_size,
        output_segments=prefixes + 2 * np.arange(n) + 1,
        predecessors=np.where(opens, -1, np.arange(n) - 1),
        think_times=np.where(opens, 0.0, _pauses(seed, turns, max_turns) * time_scale),
        sessions=turns.session,
        turns=turns.turn,
        tenants=pool[turns.session],
        name="coding_agents",
    )


def _draw_turns(
    seed: Seed, requests: int, max_turns: int, prefix_tokens: int, first_tokens: int, max_context: int
) -> _Turns:
    """Whole sessions until there are enough requests."""
    # A session has one turn at least, and its draws are those of max_turns: what follows doesn't change them.
    count = np.clip(np.rint(Stream(seed, TURNS).lognormal(requests, *_TURNS)), 1, max_turns).astype(np.int64)
    n_sessions = int(np.searchsorted(np.cumsum(count), requests)) + 1
    count = count[:n_sessions]
    shape = (n_sessions, max_turns)
    size = n_sessions * max_turns
    room = max_context - prefix_tokens
    growth = Stream(seed, LENGTHS).lognormal(size, *_GROWTH).reshape(shape)
    opening = first_tokens * Stream(seed, LENGTHS).lognormal(size, 0.0, _GROWTH[1]).reshape(shape)
    output = np.rint(Stream(seed, OUTPUTS).lognormal(size, *_OUTPUT)).reshape(shape)
    output = np.clip(output, 1, max(1, room // 4)).astype(np.int64)
    resets = Stream(seed, RESETS).uniform(size).reshape(shape) < _RESET_SHARE
    later = np.clip(np.rint(growth), 1, max(1, room // 4)).astype(np.int64)
    first = np.clip(np.rint(opening), 1, max(1, room // 2)).astype(np.int64)
    added = later.copy()
    since = np.zeros(shape, np.int64)
    context = np.zeros(n_sessions, np.int64)  # tokens after the prefix, the last answer included
    for turn in range(max_turns):
        anew = np.full(n_sessions, True) if turn == 0 else resets[:, turn] | (context + later[:, turn] > room)
        added[anew, turn] = first[anew, turn]
        since[:, turn] = turn if turn == 0 else np.where(anew, turn, since[:, turn - 1])
        context = np.where(anew, 0, context) + added[:, turn] + output[:, turn]
    session, turn_of = np.nonzero(np.arange(max_turns) < count[:, None])
    return _Turns(session, turn_of, added[session, turn_of], output[session, turn_of], since[session, turn_of])


def _pauses(seed: Seed, turns: _Turns, max_turns: int) -> NDArray[np.float64]:
    """Seconds before each turn: short after a tool, longer after a user."""
    size = (int(turns.session[-1]) + 1) * max_turns
    at = turns.session * max_turns + turns.turn
    tool = Stream(seed, KINDS).uniform(size)[at] < _TOOL_SHARE
    tool_s, user_s = (Stream(seed, THINK).lognormal(size, *gap)[at] for gap in (_TOOL_GAP_S, _USER_GAP_S))
    return np.asarray(np.minimum(np.where(tool, tool_s, user_s), 3600.0))
