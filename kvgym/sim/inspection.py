"""Questions to a simulator, at any moment; nothing here changes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym import _check, _compile
from kvgym.cluster import ClusterSpec
from kvgym.sim.base.candidate_tables import CANDIDATE
from kvgym.sim.base.codes import WAIT_REASONS
from kvgym.sim.base.tables import row_type
from kvgym.sim.state import Settings, Tables

RECORD = row_type(
    "i4 request worker",
    "f8 arrival admitted first_token finish",
    "i4 prompt_tokens output_tokens hit_tokens preemptions returns fetched_tokens",
)
TOTAL = row_type(
    "i8 loaded hit evicted recomputed iterations",
    "f8 busy",
    "i8 fetched lost",
)
TRAFFIC = row_type(
    "i4 source target",
    "U8 kind",
    "i8 transfers tokens bytes",
    "f8 seconds",
    "i8 given_up",
)
ITERATION = row_type(
    "i4 worker",
    "f8 start duration",
    "i4 prefill_tokens chunks decodes",
    "i8 kv_tokens",
    "i4 queued preempted",
    "U10 wait_reason",
)


def seconds(ps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Picoseconds to seconds; -1 (not yet) becomes NaN."""
    return np.where(ps < 0, np.nan, ps * 1e-12)


class Inspection:
    """The questions of `Simulator`."""

    cluster: ClusterSpec
    settings: Settings
    tables: Tables
    _address: int
    _most_pages: int = 256
    """Room for the pages of a prompt, as long as none was longer."""

    @property
    def _kernels(self) -> Any:
        """The compiled kernels, loaded at the first use: environments have their own ones."""
        return _compile.load("kvgym.sim.entry")

    @property
    def _start(self) -> Any:
        """Those that environments need, too."""
        return _compile.load("kvgym.sim.start")

    @property
    def address(self) -> int:
        """Address of the handle that kernels take; it changes at every reset."""
        self._check_reset()
        return int(self._address)

    @property
    def nbytes(self) -> int:
        """Bytes of all tables that kernels touch, those included that simulators of one cluster share."""
        return sum(table.nbytes for table in self.tables.values())

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return float(self._clock["now_ps"]) * 1e-12

    def _check_reset(self) -> None:
        if not self.tables:
            raise RuntimeError("call reset() with a workload first")

    @property
    def _clock(self) -> Any:
        self._check_reset()
        return self.tables["clock"][0]

    def _worker(self, worker: int) -> int:
        return _check.index("worker", worker, len(self.cluster))

    def visible_hit(self, worker: int, request: int) -> int:
        """Prompt tokens of a request that would hit on a worker, as the view shows its cache."""
        self._check_reset()
        return int(self._kernels.visible_hit(self._address, self._worker(worker), self._request(request)))

    def _request(self, request: int) -> int:
        q = _check.whole("request", request, 0)
        if q >= len(self.tables["requests"]):
            raise ValueError(f"request must be below {len(self.tables['requests'])}, got {request!r}")
        return q

    def load(self, worker: int) -> tuple[int, int]:
        """Queued and running requests of a worker, now; those that wait for a transfer count as queued."""
        self._check_reset()
        row = self.tables["workers"][self._worker(worker)]
        return int(row["n_queued"] + row["n_fetching"]), int(row["n_running"])

    def up(self) -> NDArray[np.bool_]:
        """Which workers are up: bool (M,)."""
        self._check_reset()
        return self.tables["workers"]["up"].astype(bool)

    def offer(self, worker: int, request: int) -> tuple[int, float]:
        """Pages that could be fetched for a request that is sent to a worker now, as the view shows the caches.

        Returns:
            Prompt tokens that another worker has and this one has not, and seconds until they would be there; 0 and 0
            if there are none, or without transfers (docs/semantics.md#d2-offer).
        """
        self._check_reset()
        if not self.settings.transfers:
            return 0, 0.0
        tokens, ps = self._kernels.offer(self._address, self._worker(worker), self._request(request))
        return int(tokens), int(ps) * 1e-12

    def traffic(self) -> NDArray[Any]:
        """Traffic of transfers, per link.

        Returns:
            Structured array, a row per pair of workers between which a transfer was decided and is over: source,
            target, kind ("inside" or "between" nodes), transfers that came to their end, their tokens, bytes and
            seconds, and given_up.
        """
        self._check_reset()
        table = self.tables["traffic"]
        some = np.flatnonzero(table["transfers"] + table["given_up"])
        out = np.zeros(len(some), TRAFFIC)
        out["source"], out["target"] = np.divmod(some, len(self.cluster))
        nodes = self.tables["workers"]["node"]
        out["kind"] = np.where(nodes[out["source"]] == nodes[out["target"]], "inside", "between")
        for name in ("transfers", "tokens", "given_up"):
            out[name] = table[name][some]
        out["bytes"] = out["tokens"] * self.cluster.workers[0].kv_bytes_per_token
        out["seconds"] = table["ps"][some] * 1e-12
        return out

    def candidates(self) -> NDArray[Any]:
        """The leaves that the EVICT decision that is due may choose from.

        Returns:
            Structured array, a row per slot with the fields of `candidate_tables.CANDIDATE`
            (docs/semantics.md#d6-features).

        Raises:
            RuntimeError: If no EVICT decision is due.
        """
        if self._clock["asking"] < 0:
            raise RuntimeError("no EVICT decision is due: call advance() first")
        features = np.empty((self.settings.candidates, len(CANDIDATE.names or ())))
        self._kernels.describe(self._address, features)
        out = np.zeros(len(features), CANDIDATE)
        for column, name in enumerate(CANDIDATE.names or ()):
            out[name] = features[:, column]
        return out

    def records(self) -> NDArray[Any]:
        """Records of the requests that have arrived.

        Returns:
            Structured array, a row per request in index order: request, worker (-1 = not routed), arrival, admitted,
            first_token, finish (seconds; NaN = not yet), prompt_tokens, output_tokens, hit_tokens (of the first
            admission), preemptions, returns (crashes that sent it back to the router), fetched_tokens.
        """
        self._check_reset()
        progress, requests = self.tables["progress"], self.tables["requests"]
        arrived = np.flatnonzero(progress["arrived_ps"] >= 0)
        out = np.zeros(len(arrived), RECORD)
        out["request"] = arrived
        for name in ("worker", "hit_tokens", "preemptions", "returns", "fetched_tokens"):
            out[name] = progress[name][arrived]
        for name in ("prompt_tokens", "output_tokens"):
            out[name] = requests[name][arrived]
        times = {
            "arrival": "arrived_ps",
            "admitted": "admitted_ps",
            "first_token": "first_token_ps",
            "finish": "finish_ps",
        }
        for name, source in times.items():
            out[name] = seconds(progress[source][arrived])
        return out

    def totals(self) -> NDArray[Any]:
        """Per worker: pages loaded, hit, evicted, recomputed (docs/semantics.md#c4-totals), iterations, busy seconds.

        Then pages fetched from other workers (T5) and lost in crashes: loaded + fetched = evicted + lost + resident.
        """
        self._check_reset()
        workers = self.tables["workers"]
        out = np.zeros(len(workers), TOTAL)
        for name in ("loaded", "hit", "evicted", "recomputed", "iterations", "fetched", "lost"):
            out[name] = workers[name]
        out["busy"] = workers["busy_ps"] * 1e-12
        return out

    def iterations(self) -> NDArray[Any]:
        """The event log, a row per iteration: why did a request wait?

        Returns:
            Structured array in order of start: worker, start, duration (seconds), prefill_tokens, chunks, decodes,
            kv_tokens, queued, preempted, wait_reason (a name of `codes.WAIT_REASONS`).

        Raises:
            RuntimeError: If the simulator was made without `log_iterations`.
        """
        if not self.settings.log_iterations:
            raise RuntimeError("make the simulator with log_iterations=True to keep the event log")
        log = self.tables["iterations"][: int(self.tables["clock"]["n_log"][0])]
        rows = np.repeat(np.arange(len(log)), log["burst"])
        j = np.arange(len(rows)) - np.repeat(np.cumsum(log["burst"]) - log["burst"], log["burst"])
        log = log[rows]
        out = np.zeros(len(log), ITERATION)
        for name in ("worker", "prefill_tokens", "chunks", "decodes", "queued", "preempted"):
            out[name] = log[name]
        out["kv_tokens"] = log["kv_tokens"] + j * log["decodes"]
        out["start"] = (log["start_ps"] + j * log["first_ps"] + log["slope_ps"] * (j * (j - 1) // 2)) * 1e-12
        out["duration"] = (log["first_ps"] + j * log["slope_ps"]) * 1e-12
        out["wait_reason"] = np.array(WAIT_REASONS)[log["wait_reason"]]
        return out[np.argsort(out["start"], kind="stable")]

    def draws(self) -> NDArray[Any]:
        """Random draws of the evictor: worker, candidates, index, node, page (depth in the path).

        Raises:
            RuntimeError: If the simulator was made without `log_draws`.
        """
        if not self.settings.log_draws:
            raise RuntimeError("make the simulator with log_draws=True to keep the draws")
        return self.tables["draws"][: int(self._clock["n_draws"])].copy()

    def prompt_pages(self) -> NDArray[np.int64]:
        """Ids of the full pages of the prompt that is being routed, numbered by first appearance: int64 (n,)."""
        self._check_reset()
        pages = np.empty(self._most_pages, np.int64)
        n = self._start.prompt_pages(self._address, pages)
        if n > self._most_pages:
            self._most_pages = 2 * n
            return self.prompt_pages()
        return pages[:n]
