"""Questions to a simulator, at any moment; nothing here changes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym import _check, _compile
from kvgym.cluster import ClusterSpec
from kvgym.sim import results
from kvgym.sim.base.candidate_tables import CANDIDATE
from kvgym.sim.state import Settings


class Inspection:
    """The questions of `Simulator`."""

    cluster: ClusterSpec
    settings: Settings
    tables: dict[str, NDArray[Any]]
    _address: int

    @property
    def _kernels(self) -> Any:
        """The compiled kernels, loaded at the first use: environments have their own ones."""
        return _compile.load("kvgym.sim.entry")

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
        return results.traffic(self.tables, self.cluster)

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
        return results.candidates(features)

    def records(self) -> NDArray[Any]:
        """Records of the requests that have arrived.

        Returns:
            Structured array, a row per request in index order: request, worker (-1 = not routed), arrival, admitted,
            first_token, finish (seconds; NaN = not yet), prompt_tokens, output_tokens, hit_tokens (of the first
            admission), preemptions, returns (crashes that sent it back to the router), fetched_tokens.
        """
        self._check_reset()
        return results.records(self.tables)

    def totals(self) -> NDArray[Any]:
        """Per worker: pages loaded, hit, evicted, recomputed (docs/semantics.md#c4-totals), iterations, busy seconds.

        Then pages fetched from other workers (T5) and lost in crashes: loaded + fetched = evicted + lost + resident.
        """
        self._check_reset()
        return results.totals(self.tables)

    def iterations(self) -> NDArray[Any]:
        """The event log, a row per iteration: why did a request wait?

        Returns:
            Structured array in order of start: worker, start, duration (seconds), prefill_tokens, chunks, decodes,
            kv_tokens, queued, preempted, wait_reason (a name of `rules.WAIT_REASONS`).

        Raises:
            RuntimeError: If the simulator was made without `log_iterations`.
        """
        if not self.settings.log_iterations:
            raise RuntimeError("make the simulator with log_iterations=True to keep the event log")
        return results.iterations(self.tables)

    def draws(self) -> NDArray[Any]:
        """Random draws of the evictor: worker, candidates, index, node, page (depth in the path).

        Raises:
            RuntimeError: If the simulator was made without `log_draws`.
        """
        if not self.settings.log_draws:
            raise RuntimeError("make the simulator with log_draws=True to keep the draws")
        return self.tables["draws"][: int(self._clock["n_draws"])].copy()

    def prompt_pages(self) -> NDArray[np.int64]:
        """Ids of the full pages of the prompt that is being routed, numbered by first appearance."""
        return results.prompt_pages(self.tables, int(self._clock["request"]))
