"""The simulator: a workload on a cluster, up to the next decision, as a program calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from kvgym import _check
from kvgym.cluster import ClusterSpec, EngineSpec, Fault, check_faults
from kvgym.sim import futures, state
from kvgym.sim.base.codes import CONTRADICTION, CONTRADICTIONS, EVICT, LOG_FULL, PAUSED, ROUTE, ROUTERS, STOPS, VIEWS
from kvgym.sim.evictors import ASK, EVICTORS, RULES
from kvgym.sim.inspection import Inspection
from kvgym.workload import ServiceClass, Workload
from kvgym.workload.classes import check_classes

QUANTA = ("leaf", 1)
OFFERS = ("oldest", "unhit")
TRANSFERS = ("never", "auto")
"""Whether workers fetch pages of each other: never, or where it is faster than to compute them."""

Router = str | Callable[["Simulator", "Decision"], int]
Evictor = str | Callable[["Simulator", "Decision"], int | str]


@dataclass(frozen=True, slots=True)
class Decision:
    """A point where the simulator stops and asks.

    Attributes:
        kind: "ROUTE", "EVICT", "DONE" (everything has finished) or "TRUNCATED" (stopped at the arrival after the last
            counted one).
        request: Index of the request to route, or of the one that needs pages; -1 when there is none.
        worker: The worker that asks (EVICT decisions only), -1 when there is none.
        time: Seconds since the start.
    """

    kind: str
    request: int
    worker: int
    time: float


class Simulator(Inspection):
    """Simulates a cluster of LLM workers that serve a workload.

    Deterministic: the same workload, seed and decisions give the same bits.

    Args:
        cluster: The workers.
        engine: Settings of the engine on each worker.
        evictor: Which pages go when memory is short; one of `EVICTORS` ("belady" is an oracle: it reads the future),
            "agent" (advance() stops at each EVICT decision), or a callable that gets the simulator and the decision and
            returns what `evict()` takes.
        router: A rule of `ROUTERS`, "agent" (advance() stops at each arrival), or a callable that gets the simulator
            and the decision and returns a worker; `run()` and `advance()` call it.
        view: What a router sees of the caches: "exact" (what is resident), "history" (the prompts it routed), or
            "speculative" (what is resident, and the prompts in flight).
        candidates: Slots of an EVICT decision, an even number; 0: the decision names a rule instead. Only for the
            evictor "agent" or a callable.
        offer: Which leaves the first half of the slots holds: "oldest", or "unhit": half of it those with the fewest
            hits (docs/semantics.md#d6-evict); the slots are then a multiple of 4.
        quantum: What one EVICT decision may free: "leaf" (all that the leaf has above it, up to a branch), or 1 page.
        history_pages: Pages per worker that the history view remembers; default: `kv_pages` of the largest worker.
        metrics_period_s: Engine metrics are snapshots at multiples of this; 0 = always current.
        transfer: "auto": cached pages that a request misses are fetched from another worker where that is faster than
            computing them; needs a cluster with a network. "never": they are computed.
        decision_s: Seconds that each ROUTE decision takes, see docs/semantics.md#d1-time; None: what `charge()` says of
            it.
        debug: Check the tables after every event (slow).
        log_iterations: Keep a row per burst of iterations, see `iterations()`.
        log_draws: Keep a row per random draw of an evictor, see `draws()`.

    Raises:
        ValueError: For a name or number that is not allowed, or transfers without a network.
    """

    def __init__(
        self,
        cluster: ClusterSpec,
        engine: EngineSpec,
        evictor: Evictor = "lru",
        router: Router = "agent",
        view: str = "exact",
        *,
        candidates: int = 16,
        offer: str = "oldest",
        quantum: str | int = "leaf",
        history_pages: int | None = None,
        metrics_period_s: float = 0.0,
        transfer: str = "never",
        decision_s: float | None = 0.0,
        debug: bool = False,
        log_iterations: bool = False,
        log_draws: bool = False,
    ) -> None:
        """Checks the arguments and loads the kernels."""
        if not isinstance(cluster, ClusterSpec):
            raise ValueError(f"cluster must be a ClusterSpec, got {cluster!r}")
        if not isinstance(engine, EngineSpec):
            raise ValueError(f"engine must be an EngineSpec, got {engine!r}")
        if history_pages is None:
            history_pages = max(worker.kv_pages for worker in cluster.workers)
        self.cluster = cluster
        self.engine = engine
        self.router: Router = router if callable(router) else _check.choice("router", router, ROUTERS)
        self.evictor: Evictor = (
            evictor if callable(evictor) else _check.choice("evictor", evictor, ("agent", *EVICTORS))
        )
        asks = callable(evictor) or evictor == "agent"
        if _check.whole("candidates", candidates, 0) % 2:
            raise ValueError(f"candidates must be an even number, got {candidates}")
        unhit = _check.choice("offer", offer, OFFERS) == "unhit"
        if unhit and candidates % 4:
            raise ValueError(f'candidates must be a multiple of 4 with offer="unhit", got {candidates}')
        if quantum not in QUANTA or isinstance(quantum, bool):
            raise ValueError(f'quantum must be "leaf" or 1, got {quantum!r}')
        self.settings = state.Settings(
            evictor=ASK if asks else EVICTORS.index(str(evictor)),
            candidates=candidates if asks else 0,
            offers_unhit=unhit,
            quantum=1 if quantum == 1 else 2**31 - 1,
            router=ROUTERS.index("agent" if callable(router) else router),
            shown=VIEWS.index(_check.choice("view", view, VIEWS)),
            history_pages=_check.whole("history_pages", history_pages, 1),
            metrics_period_ps=round(_check.finite("metrics_period_s", metrics_period_s) * 1e12),
            debug=_check.flag("debug", debug),
            log_iterations=_check.flag("log_iterations", log_iterations),
            log_draws=_check.flag("log_draws", log_draws),
            takes_time=decision_s is None or _check.finite("decision_s", decision_s, maximum=3600.0) > 0,
            decision_ps=0 if decision_s is None else round(decision_s * 1e12),
            transfers=_check.choice("transfer", transfer, TRANSFERS) == "auto",
        )
        if self.settings.transfers and cluster.network is None:
            raise ValueError('transfer must be "never" in a cluster without a network, got "auto"')
        self.workload: Workload | None = None
        self.tables: state.Tables = {}

    def reset(
        self,
        workload: Workload,
        seed: int | np.random.SeedSequence = 0,
        *,
        warmup: int = 0,
        warmup_router: str = "round_robin",
        warmup_evictor: str | None = None,
        limit: int | None = None,
        truncate: bool = False,
        hints: ArrayLike | None = None,
        classes: Iterable[ServiceClass] = (),
        faults: Iterable[Fault] = (),
    ) -> None:
        """Starts at time 0 with empty caches.

        Args:
            workload: What arrives.
            seed: Seed of the random choices of evictors and of the router "random".
            warmup: The first `warmup` arrivals are routed by `warmup_router` and do not count in the cost.
            warmup_router: One of `ROUTERS` but "agent".
            warmup_evictor: One of `RULES` that does the evictions of warm-up requests where the agent is the evictor;
                default: the agent does them.
            limit: Arrivals that are played; default: all.
            truncate: Stop at the arrival after the last played one instead of draining the cluster.
            hints: (n,) integers, output-length hints shown in observations; default: none.
            classes: Service classes, by the numbers that the workload gives its requests; a single one is for all
                requests. None: one without targets.
            faults: Crashes and slow-downs of workers, see `kvgym.cluster.check_faults`.

        Raises:
            ValueError: If the page sizes differ, a request fits on no worker or is of no class, at some moment no
                worker would be up, or an argument is not allowed.
        """
        if not isinstance(workload, Workload):
            raise ValueError(f"workload must be a Workload, got {workload!r}")
        n = len(workload)
        limit = n if limit is None else _check.whole("limit", limit, 0)
        rules = ROUTERS[1:]
        episode = state.Episode(
            warmup=_check.whole("warmup", warmup, 0),
            warmup_router=ROUTERS.index(_check.choice("warmup_router", warmup_router, rules)),
            warmup_evictor=self._rule("warmup_evictor", warmup_evictor),
            limit=min(limit, n),
            truncate=_check.flag("truncate", truncate),
            hints=None if hints is None else state.check_hints(hints, n),
            classes=check_classes(classes),
            faults=check_faults(faults, len(self.cluster)),
        )
        state.check_fit(workload, self.cluster, self.engine)
        state.check_numbers(workload, episode.classes)
        self.workload = workload
        self.tables = state.make_tables(workload, self.cluster, self.engine, self.settings, episode, seed)
        self._open()
        self._start.prepare(self._address)

    def _open(self) -> None:
        self._handle = state.make_handle(self.tables)
        self._address = self._handle.ctypes.data

    def _rule(self, name: str, rule: str | None) -> int:
        """Number of the evictor that is named for some evictions; None = the agent is asked."""
        if rule is None:
            return ASK
        if self.settings.evictor != ASK or self.settings.candidates > 0:
            raise ValueError(f'{name} needs a simulator with evictor="agent" and candidates=0, got {rule!r}')
        return EVICTORS.index(_check.choice(name, rule, RULES))

    def _due(self) -> Decision | None:
        """The decision that is due, whoever let time pass up to it: an environment calls the kernels itself."""
        clock = self._clock
        if clock["request"] >= 0:
            return Decision("ROUTE", int(clock["request"]), -1, self.now)
        if clock["asking"] >= 0:
            worker = int(clock["asking"])
            return Decision("EVICT", int(self.tables["workers"]["asker"][worker]), worker, self.now)
        return None

    def advance(self) -> Decision:
        """Lets time pass until the next decision; returns the one that is due if it has not been taken yet.

        Raises:
            RuntimeError: Before `reset()`, or in debug mode if the tables contradict each other.
        """
        while True:
            decision = self._due()
            if decision is None:
                code = self._run_kernel()
                if code not in (ROUTE, EVICT):
                    return Decision(STOPS[code], -1, -1, self.now)
            elif decision.kind == "ROUTE" and callable(self.router):
                self.route(self.router(self, decision))
            elif decision.kind == "EVICT" and callable(self.evictor):
                self.evict(self.evictor(self, decision))
            else:
                return decision

    def _run_kernel(self) -> int:
        """Runs the kernel to the next decision, giving the logs more room when they ask, and Ctrl-C its chance."""
        clock = self._clock
        while True:
            code: int = self._kernels.advance(self._address)
            if code == CONTRADICTION:
                where = f"worker {clock['error_worker']} at {self.now:.6f} s"
                raise RuntimeError(f"the tables of {where} contradict each other: {CONTRADICTIONS[clock['error']]}")
            if code == LOG_FULL:
                state.grow_logs(self.tables)
                self._open()
            elif code != PAUSED:
                return code

    def route(self, worker: int, evictor: str | None = None) -> None:
        """Takes the ROUTE decision that is due; no time passes.

        Args:
            worker: Index of the worker that serves the request.
            evictor: One of `RULES` that does all evictions that the request forces; default: as the simulator was made.
                Needs a simulator with evictor="agent" and candidates=0.

        Raises:
            RuntimeError: If no ROUTE decision is due.
            ValueError: If `worker` is not the index of a worker that is up, or the evictor can't be named.
        """
        if self._clock["request"] < 0:
            raise RuntimeError("no ROUTE decision is due: call advance() first")
        if not self.tables["workers"]["up"][self._worker(worker)]:
            raise ValueError(f"worker must be one of {np.flatnonzero(self.up()).tolist()}, which are up; got {worker}")
        self._kernels.route(self._address, self._worker(worker), self._rule("evictor", evictor))

    def charge(self, seconds: float) -> None:
        """Says how long the ROUTE decisions take that follow, the one that is due first.

        Raises:
            RuntimeError: If decisions take no time here: the simulator has to be made with `decision_s=None`.
            ValueError: If `seconds` is no finite number from 0 to 3600.
        """
        if not self.settings.takes_time:
            raise RuntimeError("decisions take no time here: make the simulator with decision_s=None")
        self._clock["decision_ps"] = round(_check.finite("seconds", seconds, maximum=3600.0) * 1e12)

    def refuse(self) -> None:
        """Takes the ROUTE decision that is due by refusing the request, which leaves (docs/semantics.md#d1-refusal).

        Raises:
            RuntimeError: If no ROUTE decision is due.
        """
        if self._clock["request"] < 0:
            raise RuntimeError("no ROUTE decision is due: call advance() first")
        self._kernels.refuse(self._address)

    def evict(self, choice: int | str) -> None:
        """Takes the EVICT decision that is due; no time passes.

        Args:
            choice: A slot of `candidates()` with a leaf in it; or, with candidates=0, one of `RULES`.

        Raises:
            RuntimeError: If no EVICT decision is due.
            ValueError: If `choice` is none of these.
        """
        if self._clock["asking"] < 0:
            raise RuntimeError("no EVICT decision is due: call advance() first")
        if self.settings.candidates == 0:
            self._kernels.evict_by_rule(self._address, EVICTORS.index(_check.choice("choice", choice, RULES)))
            return
        slot = _check.index("choice", choice, self.settings.candidates)
        if self.tables["candidates"][slot] < 0:
            raise ValueError(f"choice must be a slot with a leaf in it, slot {slot} is empty: see candidates()")
        self._kernels.evict_candidate(self._address, slot)

    def run(self) -> None:
        """Runs to the end.

        Raises:
            RuntimeError: If the router or the evictor is "agent": somebody has to decide.
        """
        for name, answer in (("router", "route"), ("evictor", "evict")):
            if getattr(self, name) == "agent":
                raise RuntimeError(f'{name} is "agent": decide with advance() and {answer}(), or name a rule')
        self.advance()

    def blank(self) -> Self:
        """Another simulator with the same settings, before its first `reset()`."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, workload=None, tables={})
        return other

    def clone(self, resample_future: int | None = None) -> Self:
        """An independent copy that goes on from here.

        Args:
            resample_future: None: the copy knows the future, and an agent that uses it is an oracle. Or a seed: what
                has not begun to arrive is drawn anew (docs/semantics.md#d8-future-drawn-anew).

        Raises:
            ValueError: If the seed is no integer >= 0.
            RuntimeError: If a future is to be drawn before `reset()`.
        """
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.tables = state.copy_tables(self.tables)
        if resample_future is not None:
            self._check_reset()
            assert self.workload is not None
            seed = _check.whole("resample_future", resample_future, 0)
            copy.workload = futures.redraw(copy.tables, self.workload, seed)
        copy._open()
        return copy

    def __getstate__(self) -> dict[str, Any]:
        """Everything but addresses and compiled code."""
        return {key: value for key, value in self.__dict__.items() if key not in ("_handle", "_address")}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        """Loads the kernels again and points them at the unpickled tables."""
        self.__dict__.update(saved)
        if self.tables:
            self._open()
