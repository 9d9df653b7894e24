"""Random workloads, clusters and engines that press hard on every rule, for the simulator and the reference alike."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from kvgym.cluster import ClusterSpec, Crash, EngineSpec, Fault, IterationCost, Network, WorkerSpec, worker_spec
from kvgym.sim import Simulator
from kvgym.workload import ServiceClass, Workload
from tests.reference import RefClass, RefCost, RefCrash, RefEngine, RefLink, RefNetwork, RefRequest, RefSlowdown

SECONDS_PER_PS = 1e-12
ROUTES = ("agent", "round_robin", "least_loaded", "prefix_affinity")
VIEWS: dict[str, dict[str, Any]] = {
    "exact": {"history_pages": None, "speculative": False},
    "history": {"history_pages": 12, "speculative": False},
    "speculative": {"history_pages": None, "speculative": True},
}
"""Options of a case, and of the reference, for each view."""


@dataclass
class Case:
    """One thing to simulate.

    Attributes:
        requests: The workload as tokens; private outputs are unique negative tokens.
        workers: The cluster.
        engine: Settings of all workers.
        evictor: Name of the evictor.
        router: "agent" (then `routes` decides) or a rule.
        routes: Worker of each request.
        history_pages: Of the view "history", None for the others.
        speculative: Whether the view is the speculative one.
        seed: Seed of the simulator.
        candidates: Slots of an EVICT decision, 0 for the rule form; for the evictor "agent".
        quantum: Of an EVICT decision.
        offer: Likewise.
        rules: Per request the evictor that is named for it when it is routed, None = asked; for the rule form.
        network: How pages get from worker to worker; None: not at all.
        faults: Crashes and slow-downs.
        classes: Service classes.
        refuse: The requests that are refused, each with the number of returns that it has by then; for router "agent".
        decision_ps: What each ROUTE decision takes; or what was measured of them, in turn and over again, for router
            "agent".
    """

    requests: list[RefRequest]
    workers: list[WorkerSpec]
    engine: EngineSpec
    evictor: str = "lru"
    router: str = "agent"
    routes: list[int] = field(default_factory=list)
    history_pages: int | None = None
    speculative: bool = False
    seed: int = 0
    candidates: int = 16
    quantum: str | int = "leaf"
    offer: str = "oldest"
    rules: list[str | None] = field(default_factory=list)
    network: Network | None = None
    faults: tuple[Fault, ...] = ()
    classes: Sequence[RefClass] = (RefClass(),)
    refuse: dict[int, int] = field(default_factory=dict)
    decision_ps: int | Sequence[int] = 0
    warmup: int = 0

    def workload(self) -> Workload:
        """The workload as the simulator wants it."""
        return workload_of(self.requests, self.engine.page_size)

    def simulator(self, **options: Any) -> Simulator:
        """A simulator of this case that checks itself and logs everything, at its start."""
        view: dict[str, Any] = {"view": self.view()}
        view |= {} if self.history_pages is None else {"history_pages": self.history_pages}
        asks = {name: getattr(self, name) for name in ("candidates", "offer", "quantum") if self.evictor == "agent"}
        options = {"debug": True, "log_iterations": True, "log_draws": True, **view, **asks, **options}
        options["transfer"] = "never" if self.network is None else "auto"
        measured = not isinstance(self.decision_ps, int)
        options["decision_s"] = None if measured else self.decision_ps * SECONDS_PER_PS
        cluster = ClusterSpec(tuple(self.workers), self.network)
        simulator = Simulator(cluster, self.engine, self.evictor, self.router, **options)
        self.reset(simulator, self.seed)
        return simulator

    def view(self) -> str:
        """What the router sees of caches."""
        if self.history_pages is not None:
            return "history"
        return "speculative" if self.speculative else "exact"

    def reset(self, simulator: Simulator, seed: int) -> None:
        """Brings a simulator to the start of this case."""
        classes = [
            ServiceClass(
                f"class {number}",
                one.ttft_ps * SECONDS_PER_PS,
                one.tpot_ps * SECONDS_PER_PS,
                one.priority,
                one.refusal_cost_s,
            )
            for number, one in enumerate(self.classes)
        ]
        warmup = {"warmup": self.warmup, "warmup_router": self.router} if self.warmup else {}
        simulator.reset(self.workload(), seed, classes=classes, faults=self.faults, **warmup)

    def reference_engine(self) -> RefEngine:
        """Settings for the reference."""
        return RefEngine(**dataclasses.asdict(self.engine))

    def reference_workers(self) -> list[tuple[int, RefCost]]:
        """Workers for the reference."""
        return [(worker.kv_pages, reference_cost(worker.cost, self.engine.chunk_tokens)) for worker in self.workers]

    def reference_network(self) -> RefNetwork | None:
        """The network for the reference."""
        if self.network is None:
            return None
        size = self.workers[0].kv_bytes_per_token
        inside, between = (
            None if link is None else RefLink(link.latency_ps(), link.ps_per_token(size), link.page_ps(), link.overlap)
            for link in (self.network.inside, self.network.between)
        )
        return RefNetwork(self.network.nodes, inside, between)

    def reference_faults(self) -> list[RefCrash | RefSlowdown]:
        """The faults for the reference."""
        faults: list[RefCrash | RefSlowdown] = []
        for fault in self.faults:
            if isinstance(fault, Crash):
                faults.append(RefCrash(fault.worker, fault.start_ps, fault.end_ps))
            else:
                cost = reference_cost(self.workers[fault.worker].cost.slowed(fault.factor), self.engine.chunk_tokens)
                faults.append(RefSlowdown(fault.worker, fault.start_ps, fault.end_ps, cost))
        return faults


@cache
def reference_cost(cost: IterationCost, chunk_tokens: int) -> RefCost:
    """The same table and coefficients for the reference."""
    return RefCost([int(ps) for ps in cost.g_ps(chunk_tokens)], *cost.coefficients_ps())


def workload_of(requests: list[RefRequest], page_size: int) -> Workload:
    """The simulator's tables of requests given by tokens; an output of negative tokens is private."""
    closed = [request.arrival_ps is None for request in requests]
    workload = Workload.from_tokens(
        [request.prompt for request in requests],
        [len(request.output) if request.output[0] < 0 else request.output for request in requests],
        [None if request.arrival_ps is None else request.arrival_ps * SECONDS_PER_PS for request in requests],
        page_size,
        predecessors=[request.predecessor for request in requests],
        think_times=[request.think_ps * SECONDS_PER_PS for request in requests],
        sessions=[i if request.session is None else request.session for i, request in enumerate(requests)],
        turns=[request.turn for request in requests],
        service_classes=[request.service_class for request in requests],
    )
    times = [request.think_ps if request.arrival_ps is None else request.arrival_ps for request in requests]
    table = workload.requests
    assert np.array_equal(np.where(closed, table["think_ps"], table["arrival_ps"]), times)
    return workload


def coarse_cost(rng: random.Random) -> IterationCost:
    """100 ps and 10 ps per token, sometimes 10 ps per KV token: iterations end on a grid of 10 ps, often together."""
    return IterationCost(overhead_ms=rng.choice([1e-7, 1e-7, 2e-7]), k=1e-8, p=1.0, a_kv=rng.choice([0.0, 0.0, 1e-8]))


def tick_cost(rng: random.Random) -> IterationCost:
    """100 ps whatever is computed: all workers go in step."""
    return IterationCost(overhead_ms=1e-7)


def fitted_cost(rng: random.Random) -> IterationCost:
    """A cost of the catalogue: every coefficient counts, float parts are rounded."""
    return catalogue_cost(rng.choice(["h100", "a100-80g"]))


@cache
def catalogue_cost(gpu: str) -> IterationCost:
    return worker_spec("llama-3.1-8b", gpu).cost


class Generator:
    """Makes cases from one seed."""

    def __init__(self, seed: int, page_size: int) -> None:
        self.rng = random.Random(seed)
        self.page_size = page_size
        self.make_cost, self.step = self.rng.choices(
            [(coarse_cost, 10), (tick_cost, 100), (fitted_cost, 2_000_000_000)], weights=[4, 2, 4]
        )[0]
        # Prompts are strings of a few blocks over a small alphabet, so that they share prefixes of every depth, and a
        # block is shorter, as long as, or longer than a page.
        self.decodes_much = self.rng.random() < 0.5  # then memory runs out under the decodes
        longest = self.rng.choice([2, 2 * page_size + 1, 4 * page_size])
        alphabet = self.rng.choice([1, 2, 3])
        self.blocks = [
            tuple(self.rng.randrange(alphabet) for _ in range(self.rng.randint(1, longest))) for _ in range(3)
        ]
        self.fresh = itertools.count(1)
        self.sessions = random.Random(seed)  # their own stream: cases without sessions stay what they were
        self.session_of: list[tuple[int, int]] = []

    def tokens(self, blocks: int) -> tuple[int, ...]:
        return tuple(itertools.chain.from_iterable(self.rng.choice(self.blocks) for _ in range(blocks)))

    def output(self, identified: bool) -> tuple[int, ...]:
        """Output tokens: of the same blocks as the prompts (others may hold them), or private."""
        most = (6 if self.decodes_much else 2) * self.page_size + 2
        length = self.rng.choice([1, 2, self.rng.randint(1, most), self.rng.randint(1, most), most])
        if identified:
            return self.tokens(length)[:length]
        return tuple(-next(self.fresh) for _ in range(length))

    def requests(self, count: int) -> list[RefRequest]:
        rng = self.rng
        share_identified = rng.choice([0.0, 0.5, 1.0])
        share_closed = rng.choice([0.0, 0.3, 0.8])
        spread = rng.choice([3, 10, 30])
        clock = 0
        requests: list[RefRequest] = []
        for index in range(count):
            before = rng.randrange(index) if index else -1
            previous = requests[before] if index else None
            prompt = self.tokens(rng.randint(1, 4))
            kind = rng.random()
            if previous is not None and kind < 0.4:
                prompt = previous.prompt + self.output_as_prompt(previous) + self.tokens(rng.randint(0, 2))
            elif previous is not None and kind < 0.5:
                prompt = previous.prompt
            elif previous is not None and kind < 0.6:
                prompt = previous.prompt[: rng.randint(1, len(previous.prompt))] + self.tokens(1)
            prompt = prompt[: 12 * self.page_size + 3]
            output = self.output(rng.random() < share_identified)
            if previous is not None and rng.random() < share_closed:
                think = rng.choice([0, 0, self.step * rng.randint(1, 30)])
                requests.append(RefRequest(prompt, output, None, before, think, *self.session(index, before)))
            else:
                if rng.random() < 0.6:  # else at the same time as the one before
                    clock += self.step * rng.randint(0, spread)
                requests.append(RefRequest(prompt, output, clock, -1, 0, *self.session(index, before)))
        return requests

    def session(self, index: int, before: int) -> tuple[int, int]:
        """Session and turn of request `index`: its own, or the next turn of the one `before` it."""
        session, turn = index, 0
        if before >= 0 and self.sessions.random() < 0.5:
            session, turn = self.session_of[before]
            turn += 1
        self.session_of.append((session, turn))
        return session, turn

    def output_as_prompt(self, previous: RefRequest) -> tuple[int, ...]:
        """What a later prompt can hold of an earlier output: nothing, if that is private."""
        if previous.output[0] < 0:
            return ()
        return previous.output[: self.rng.randint(0, len(previous.output))]

    def workers(self, requests: list[RefRequest]) -> list[WorkerSpec]:
        """One to three, with hardly more memory than the largest request needs."""
        rng = self.rng
        need = max(-(-request.computed_tokens() // self.page_size) for request in requests)
        costs = [self.make_cost(rng), self.make_cost(rng)]
        return [
            WorkerSpec(need + rng.randint(0, rng.choice([2, need + 2, 3 * need])), rng.choice(costs))
            for _ in range(rng.randint(1, 3))
        ]

    def engine(self, schedule: str) -> EngineSpec:
        rng = self.rng
        chunk_tokens = rng.choice(
            [rng.randint(1, 3), 4, self.page_size + 3, 2 * self.page_size + 3, 8 * self.page_size]
        )
        return EngineSpec(
            page_size=self.page_size,
            schedule=schedule,
            chunk_tokens=chunk_tokens,
            max_running=rng.randint(min(2, chunk_tokens), min(8, chunk_tokens)),
            evict_full_request=rng.random() < 0.3,
            reserve_output=rng.choice([0.0, 0.0, 0.5, 1.0, 1.5]),
        )


def random_case(
    seed: int, evictor: str, schedule: str, page_size: int, router: str | None = None, most: int = 45
) -> Case:
    """A case of 10 to `most` requests that depends on the arguments alone."""
    generator = Generator(seed, page_size)
    rng = generator.rng
    requests = generator.requests(rng.randint(10, most))
    workers = generator.workers(requests)
    return Case(
        requests,
        workers,
        generator.engine(schedule),
        evictor,
        router or rng.choice(ROUTES),
        [rng.randrange(len(workers)) for _ in requests],
        seed=seed,
        **rng.choice([*VIEWS.values(), {"history_pages": 3}]),
    )


def bushy_case(seed: int, evictor: str, schedule: str, page_size: int, router: str | None = None) -> Case:
    """A random case of many short prompts, and a few long ones that need the pages of a dozen of them at once."""
    case = random_case(seed, evictor, schedule, page_size, router, most=80)
    rng = random.Random(seed + 2_000_000)

    def page(head: int) -> tuple[int, ...]:
        return (head,) * page_size

    requests, fresh = [], itertools.count(1)
    for old in case.requests:
        if rng.random() < 0.9:
            trunk = rng.choice([(), page(1), page(2) + page(2)])
            prompt = trunk + page(rng.randint(10, 70)) * rng.choice([1, 1, 2])
        else:
            prompt = page(rng.randint(100, 104)) * rng.randint(16, 24)
        output = tuple(-next(fresh) for _ in range(rng.randint(1, page_size + 2)))
        requests.append(dataclasses.replace(old, prompt=prompt, output=output))
    need = max(-(-request.computed_tokens() // page_size) for request in requests)
    workers = [dataclasses.replace(worker, kv_pages=need + rng.randint(0, need // 2)) for worker in case.workers]
    engine = dataclasses.replace(case.engine, chunk_tokens=page_size * rng.randint(24, 32))
    return dataclasses.replace(case, requests=requests, workers=workers, engine=engine)


def long_case(seed: int, evictor: str, schedule: str, page_size: int) -> Case:
    """Hundreds of requests of a few pages each, on a worker or two that hold some of them.

    Phases of popular prompts, of loops and of prompts that never come back follow each other: queues, ghosts and counts
    by age show what they do after a while.
    """
    rng = random.Random(seed + 5_000_000)
    fresh = itertools.count(1)
    workers = [WorkerSpec(rng.randint(10, 45), coarse_cost(rng)) for _ in range(rng.randint(1, 2))]
    requests: list[RefRequest] = []
    clock = 0
    while len(requests) < 250:
        phase = rng.choice(["popular", "popular", "loop", "once"])
        first, items, skew = rng.choice([0, 0, 500]), rng.randint(5, 60), rng.choice([1.0, 2.0, 4.0])
        for number in range(rng.randint(5, 120)):
            item = {"popular": int(items * rng.random() ** skew), "loop": number % items, "once": len(requests)}[phase]
            item += 1000 if phase == "once" else first
            pages = (item % 3, item, item)[-(1 + item % 2 * 2) :]
            prompt = (*itertools.chain.from_iterable((page,) * page_size for page in pages), item)
            clock += 10 * rng.choice([0, rng.randint(1, 30), rng.randint(1, 30)])
            output = tuple(-next(fresh) for _ in range(rng.choice([1, 1, 2, page_size + 1])))
            requests.append(RefRequest(prompt, output, clock, session=rng.randint(0, 20)))
    engine = EngineSpec(page_size, schedule, chunk_tokens=8 * page_size, max_running=rng.randint(1, 6))
    routes = [rng.randrange(len(workers)) for _ in requests]
    return Case(
        requests, workers, engine, evictor, rng.choice(ROUTES), routes, seed=seed, speculative=rng.random() < 0.5
    )


def slow_case(seed: int, evictor: str, schedule: str, page_size: int) -> Case:
    """A random or long case whose iterations take about 1/64 s, 1/16 s or 1/2 s, and all else in proportion.

    Rules that count in seconds see nothing of the picoseconds of other cases. Few sessions, often on one grid of time.
    """
    rng = random.Random(seed + 4_000_000)
    case = rng.choice([random_case, long_case])(seed, evictor, schedule, page_size)
    chunk = case.engine.chunk_tokens
    factor = round(
        rng.choice([1 / 64, 1 / 16, 1 / 2]) / SECONDS_PER_PS / float(case.workers[0].cost.g_ps(chunk)[chunk])
    )
    sessions = rng.randint(1, 8)
    requests = [
        dataclasses.replace(
            old,
            arrival_ps=None if old.arrival_ps is None else old.arrival_ps * factor,
            think_ps=old.think_ps * factor * rng.choice([1, 1, 10]),
            session=rng.randrange(sessions),
        )
        for old in case.requests
    ]
    workers = [dataclasses.replace(worker, cost=worker.cost.slowed(factor)) for worker in case.workers]
    return dataclasses.replace(case, requests=requests, workers=workers)
