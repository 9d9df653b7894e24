"""Physical observations of EVICT decisions computed again, by the reference simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.envs.oracle import Oracle, Row
from tests.reference import Candidate, Question

Choose = Callable[[list[int]], int | str]


class EvictOracle(Oracle):
    """Plays a case whose evictor is the agent, and writes down what that agent should see.

    Attributes:
        masks: Per decision, which slots hold a leaf.
        requests: Per decision, the request that it is about.
    """

    def __init__(self, monkeypatch: Any, case: Any, choose: Choose, draws: Any, **options: Any) -> None:
        """`choose` gets the slots that hold a leaf; `draws` is the simulator's log of draws."""
        self.choose, self.draws = choose, draws
        self.masks: list[list[int]] = []
        self.due: list[int] = []
        super().__init__(monkeypatch, case, **options)

    def asks(self) -> dict[str, Any]:
        case = self.case
        replay = [iter(rows) for rows in self.draws]
        rules = self.rule if case.rules else None
        asked = {"candidates": case.candidates, "quantum": case.quantum, "rules": rules}
        return {"evict": self.evict, "draws": replay, **asked}

    def rule(self, q: int) -> str | None:
        """The evictor that is named with a ROUTE decision; the first of all evicts for the warm-up."""
        return self.case.rules[q] if self.numbers[q] >= self.warmup else self.case.rules[0]

    def asked_to_route(self, q: int, now: int) -> None:
        super().asked_to_route(q, now)
        self.rows[-1] |= {"is_route": 1.0}
        self.masks.append([])
        self.due.append(q)

    def evict(self, question: Question) -> int | str:
        """Observes, then decides as the environment's player does."""
        q, now = question.request, question.time_ps
        self.view.ask_about(q, len(self.prompt(q)), self.pages[q])
        kv_pages = self.case.workers[question.worker].kv_pages
        row = self.observe(q, now) | {
            "is_evict": 1.0,
            "asked_worker": question.worker,
            "need_pages": question.wanted,
            "decisions_left": question.decisions_left,
            "free": question.free / kv_pages,
            "locked": question.locked / kv_pages,
            "unmarked": question.unmarked / kv_pages,
        }
        for number, slot in enumerate(question.slots):
            if slot is not None:
                row |= {f"c{number}.{name}": value for name, value in self.candidate_row(slot).items()}
        self.rows.append(row)
        self.times.append(now)
        self.due.append(q)
        filled = [number for number, slot in enumerate(question.slots) if slot is not None]
        self.masks.append(filled)
        return self.choose(filled)

    def candidate_row(self, slot: Candidate) -> Row:
        return {
            "valid": 1,
            "is_uniform": slot.drawn,
            "marked": slot.marked,
            "tail_pages": slot.tail_pages,
            "depth": slot.depth,
            "recompute": slot.recompute_s,
            "idle": slot.idle_ps * 1e-12,
            "age": slot.age_ps * 1e-12,
            "hits": slot.hits,
            "reuse_gap": slot.gaps_us * 1e-6 / slot.hits if slot.hits else 0.0,
            "sessions": slot.sessions,
            "siblings": slot.siblings,
            "session_idle": slot.session_idle_ps * 1e-12,
            "session_turns": slot.session_turns,
        }
