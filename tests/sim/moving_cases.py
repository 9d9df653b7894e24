"""Random networks and fault schedules for random cases: links that pay or not, crashes at awkward times."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

from kvgym.cluster import Crash, Fault, Link, Network, Slowdown, check_faults
from tests.sim.cases import SECONDS_PER_PS, Case, random_case

PAGE_SIZES = (1, 2, 16)


def random_link(rng: random.Random, ps_per_token: float) -> Link:
    """A link that takes from a twentieth to nearly all of what computing takes, for a KV of one byte per token."""
    share = rng.choice([0.05, 0.3, 0.7, 0.95])
    latency_ps = round(ps_per_token * rng.choice([0.0, 0.5, 2.0]))
    # As a scenario makes it from its figures in ms and GB/s, to the last bit.
    return Link(latency_ps * SECONDS_PER_PS * 1e3 / 1e3, 1e12 / (share * ps_per_token) / 1e9 * 1e9)


def with_options(rng: random.Random, link: Link, page_ps: float) -> Link:
    """The link with a cost per page and overlap as they come, and slower perhaps: computing hides some of it."""
    page_s = round(page_ps * rng.choice([0, 0, 0.1, 0.5])) * SECONDS_PER_PS
    slower = rng.choice([1, 1, 2, 5])
    return Link(link.latency_s, link.bytes_per_s / slower, page_s=page_s, overlap=rng.random() < 0.8)


def random_faults(rng: random.Random, n_workers: int, end_ps: int, step_ps: int) -> tuple[Fault, ...]:
    """A schedule that a cluster of so many workers can have, often on the grid on which arrivals come."""
    faults: list[Fault] = []
    for _ in range(rng.randint(1, 6)):
        worker = rng.randrange(n_workers)
        start = step_ps * rng.randrange(1 + end_ps // step_ps) + rng.choice([0, 0, rng.randrange(step_ps)])
        length = max(1, step_ps * rng.randint(1, 40) // rng.choice([1, 2]))
        times = start * SECONDS_PER_PS, length * SECONDS_PER_PS
        fault: Fault
        if rng.random() < 0.6:
            fault = Crash(worker, times[0]) if rng.random() < 0.15 else Crash(worker, *times)
        else:
            fault = Slowdown(worker, *times, rng.choice([0.5, 1.7, 3.0]))
        try:
            faults = list(check_faults([*faults, fault], n_workers))
        except ValueError:
            continue  # it overlaps with another one, or nobody would be up
    return tuple(faults)


def moving_case(
    seed: int,
    evictor: str,
    schedule: str,
    *,
    moves: bool = True,
    fails: bool = True,
    overlaps: bool = False,
    base: Callable[[int, str, str, int], Case] = random_case,
    **changes: Any,
) -> Case:
    """A random case with two to four workers, some of them with a network, with faults, or with both.

    `overlaps`: its links have a cost per page and overlap as they come.
    """
    case = base(seed, evictor, schedule, PAGE_SIZES[seed % len(PAGE_SIZES)])
    rng = random.Random(seed + 1_000_000)
    wanted = rng.randint(2, 4)
    workers = [dataclasses.replace(rng.choice(case.workers), kv_bytes_per_token=1) for _ in range(wanted)]
    # What one token costs, and how far arrivals lie apart, in ps.
    chunk = case.engine.chunk_tokens
    per_token = max(1.0, float(workers[0].cost.g_ps(chunk)[chunk]) / chunk)
    arrivals = [request.arrival_ps for request in case.requests if request.arrival_ps is not None]
    step = 10 if per_token < 1e6 else 1_000_000_000
    network = None
    if moves:
        nodes = tuple(rng.randrange(2) for _ in range(wanted))
        links = [random_link(rng, per_token), random_link(rng, per_token)]
        if overlaps:
            options = random.Random(seed + 3_000_000)
            links = [with_options(options, link, case.engine.page_size * per_token) for link in links]
        network = Network(nodes, *links)
    faults = random_faults(rng, wanted, 2 * max(arrivals) + 30 * step, step) if fails else ()
    routes = [rng.randrange(wanted) for _ in case.requests]
    case = dataclasses.replace(
        case, workers=workers, network=network, faults=faults, routes=routes, router=rng.choice(["agent", case.router])
    )
    return dataclasses.replace(case, **changes)
