"""Sessions with shared prefixes: the one generator behind the presets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kvgym import _check, _compile
from kvgym._check import choice, finite, whole
from kvgym.workload import laws
from kvgym.workload.arrivals import Process, arrive
from kvgym.workload.checks import positive
from kvgym.workload.random import BASES, KINDS, PREFIXES, Seed, Stream, power, spawned
from kvgym.workload.workload import Workload

SECONDS_PER_TOKEN = 0.02  # of an answer, in the order of a closed loop's requests
_SYSTEM = 2**58  # segments: prefixes lie below
_BASES, _OWN, _PER_SESSION = 2**60, 2**61, 2**20
Table = NDArray[Any]


def sessions(
    seed: Seed,
    page_size: int,
    *,
    requests: int = 1000,
    rate: float = 10.0,
    arrivals: Process | None = None,
    loop: Literal["open", "closed"] = "open",
    lead_s: float = 0.0,
    system_tokens: int = 0,
    kinds: Sequence[Mapping[str, Any]] = ({},),
    drift_s: float | None = None,
    topic_s: float | None = None,
    longer_per_hour: float = 0.0,
) -> Workload:
    """Sessions of one or more turns, of several kinds, each with a prefix from its kind's pool.

    A prompt is: what all begin with (`system_tokens`), the session's prefix, what the session said so far, and what is
    new. `kind` describes a kind. Requests are ordered by arrival, in a closed loop by that which they would have if
    answers took 20 ms a token; more requests leave the first ones as they are. The tenant is the prefix, or the client
    of an arrival process that has clients, whose prefix is its own.

    Args:
        seed: an integer >= 0 or a SeedSequence.
        page_size: tokens per page.
        requests: number of requests.
        rate: requests per second; in a closed loop those of the long run if answers took no time.
        arrivals: process of all requests, see `arrive`: the i-th one comes at its i-th time. In a closed loop, or where
            it has clients, it is that of the starts of sessions, at the rate over the mean number of turns.
        loop: "open": turns follow each other by `gap_s`, whatever the answers take; "closed": a turn comes `gap_s`
            after the last answer.
        lead_s: sessions start so long before time 0; of those the rest is played. As long as most sessions: the rate is
            steady from the first request on.
        system_tokens: tokens that every prompt begins with.
        kinds: mappings of arguments of `kind`.
        drift_s: each so many seconds every prefix becomes as popular as the next more popular one was, and the most
            popular one the least.
        topic_s: each so many seconds all prefixes are new ones.
        longer_per_hour: an hour later sessions have this part more turns.

    Raises:
        ValueError: for an argument outside these.
    """
    whole("requests", requests, 1)
    choice("loop", loop, ("open", "closed"))
    whole("system_tokens", system_tokens, 0)
    table, rows, pool, turns = _tables(kinds)
    process = {"rate": rate, **_check.mapping("arrivals", {} if arrivals is None else arrivals)}
    at = arrive(seed, requests, process)
    starts = {"rate": process["rate"] / turns}
    if follow_starts := loop == "closed" or at.clients is not None:
        starts = {**process, **starts}
    lead = finite("lead_s", lead_s)
    changes = [
        0.0 if one is None else positive(f"{name}_s", one) for name, one in (("drift", drift_s), ("topic", topic_s))
    ]
    changes += [SECONDS_PER_TOKEN if loop == "closed" else 0.0, finite("longer_per_hour", longer_per_hour)]
    n_sessions = int(1.1 * (requests / turns + lead * starts["rate"])) + 64
    draw = _compile.load(laws.KERNELS).draw_turns
    prefix_seed = Stream(seed, PREFIXES).raw(1)[0]
    while True:
        begin = arrive(seed if follow_starts else spawned(seed, BASES), n_sessions, starts)
        clients = np.full(n_sessions, -1) if begin.clients is None else begin.clients
        seeds = Stream(seed, KINDS).raw(n_sessions)
        one = draw(begin.seconds - lead, clients, seeds, table, rows, pool, np.array(changes), prefix_seed)
        if len(one) >= requests:
            break
        n_sessions += n_sessions // 2
    one = one[np.argsort(one["time"], kind="stable")[:requests]]
    if not follow_starts:
        one["time"] = at.seconds
    return _workload(one, page_size, system_tokens, loop)


def kind(
    *,
    share: float = 1.0,
    prefixes: int | Sequence[float] = 1,
    zipf: float = 1.0,
    prefix_tokens: Any = 0,
    first: Any = 1000,
    restart: Any = None,
    growth: Any = 500,
    output: Any = 200,
    turns: Any = 1,
    gap_s: Any = 60.0,
    keep: Literal["all", "first"] = "all",
    reset: float = 0.0,
    max_context: int = 10**9,
    client_sigma: float = 0.0,
) -> dict[str, Any]:
    """A kind of sessions: the same arguments with all defaults. A law is as in `kvgym.workload.laws`.

    Args:
        share: weight among the kinds of a workload.
        prefixes: size of the pool, the k-th is chosen in proportion to k^-zipf; or their weights.
        zipf: see there.
        prefix_tokens: law of the lengths of the prefixes.
        first: law of the first prompt's tokens after the prefix.
        restart: the same where a turn begins anew; default `first`.
        growth: law of the tokens that a prompt has more than the one before it, the answer included; an answer that is
            longer than that is not part of the next prompt. With keep "first": tokens of a question after `first`.
        output: law of the answers' tokens.
        turns: law of the number of requests.
        gap_s: law of the seconds between turns.
        keep: "all": a prompt begins with the one before it; "first": with the first one (questions on a document).
        reset: probability that a turn begins anew, behind the prefix.
        max_context: most tokens after the prefix; a turn that would have more begins anew.
        client_sigma: lengths of first prompts and answers are multiplied by a log-normal number of median 1 and this
            sigma, one for each prefix.

    Raises:
        ValueError: for an argument outside these.
    """
    given = {**locals(), "restart": first if restart is None else restart}
    for name in ("share", "zipf", "client_sigma"):
        finite(name, given[name], 0.0, 100.0)
    weights = prefixes if isinstance(prefixes, (list, tuple)) else [1.0] * whole("prefixes", prefixes, 1)
    if not any(finite("weight of prefixes", weight) for weight in weights):
        raise ValueError(f"prefixes must have a weight > 0, got {prefixes!r}")
    choice("keep", keep, ("all", "first"))
    finite("reset", reset, 0.0, 1.0)
    whole("max_context", max_context, 1)
    return given


def _tables(kinds: Any) -> tuple[Table, Table, NDArray[np.float64], float]:
    """Kinds, rows of their laws, cumulative weights of their prefixes; the mean number of turns."""
    if not isinstance(kinds, (list, tuple)) or not kinds:
        raise ValueError(f"kinds must be a list of kinds of sessions, got {kinds!r}")
    table, rows, pool, turns = np.zeros(len(kinds), laws.KIND), [], [], 0.0
    n_rows = n_prefixes = 0
    for number, (row, given) in enumerate(zip(table, kinds, strict=True)):
        _check.keywords(f"kind {number}", _check.mapping(f"kind {number}", given), kind)
        one = kind(**given)
        row["upto"] = one["share"]
        for field in ("reset", "client_sigma", "max_context"):
            row[field] = one[field]
        row["keep_first"] = one["keep"] == "first"
        for field in laws.LAW_FIELDS:
            rows.append(laws.law(f"{field} of kind {number}", one[field], high=1e9))
            row[field] = n_rows
            n_rows += len(rows[-1])
            if field == "turns":
                turns += one["share"] * max(1.0, laws.mean(rows[-1]))
        row["end"] = n_rows
        weights = one["prefixes"]
        if isinstance(weights, int):
            weights = power(np.arange(1.0, weights + 1.0), -one["zipf"])
        pool.append(np.cumsum(np.asarray(weights, np.float64)))
        pool[-1] /= pool[-1][-1]
        row["pool"], row["pool_end"] = n_prefixes, n_prefixes + len(pool[-1])
        n_prefixes += len(pool[-1])
    table["upto"] = np.cumsum(table["upto"])
    total = float(table["upto"][-1])
    if not total:
        raise ValueError(f"kinds must have a share > 0, got {kinds!r}")
    table["upto"] /= total
    return table, np.concatenate(rows), np.concatenate(pool), turns / total


def _workload(one: Table, page_size: int, system_tokens: int, loop: str) -> Workload:
    n = len(one)
    base = _BASES + one["session"] * _PER_SESSION + one["base"]
    own = _OWN + one["session"] * _PER_SESSION + one["turn"]
    before = np.full(n, -1)
    if loop == "closed":
        order = np.lexsort((one["turn"], one["session"]))
        follows = one["session"][order[1:]] == one["session"][order[:-1]]
        before[order[1:][follows]] = order[:-1][follows]
    return Workload.from_segments(
        np.arange(0, 4 * n + 1, 4),
        np.column_stack([np.full(n, _SYSTEM), one["prefix"], base, own]).ravel(),
        np.zeros(4 * n, np.int64),
        np.column_stack([np.full(n, system_tokens), one["prefix_tokens"], one["context"], one["own"]]).ravel(),
        one["output"],
        np.where(before < 0, one["time"], np.nan),
        page_size,
        output_segments=np.where(one["repeated"] > 0, base, -1),
        output_offsets=one["context"],
        predecessors=before,
        think_times=np.where(before < 0, 0.0, one["gap"]),
        sessions=one["session"],
        turns=one["turn"],
        tenants=one["tenant"],
        name="sessions",
    )
