"""What a run is worth: targets, and the cost of each step (docs/semantics.md#w1-classes, #d3-reward)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .types import RefClass, RefRecord, RefRequest, RefResult

FOREVER = 2**63

Step = tuple[int, int]  # the request that its decision is about, and its time


@dataclass(frozen=True)
class Score:
    """Costs of the steps, and what became of the counted requests.

    Attributes:
        e2e_ps: Per step, the integral of the counted requests in the system.
        ttft_ps: Per step, the integral of those without a first token.
        refusals_s: Per step, what the refusal at its begin costs, in request seconds.
        misses: Per step, the counted requests that miss in it, by index.
        met: Per counted request, whether it meets its targets.
    """

    e2e_ps: list[int]
    ttft_ps: list[int]
    refusals_s: list[float]
    misses: list[list[int]]
    met: dict[int, bool]

    def attainment(self) -> float:
        """Share of the counted requests that meet their targets."""
        return sum(self.met.values()) / len(self.met)

    def rewards(self, objective: str, scale_s: float) -> list[float]:
        """Reward of each step: of "e2e", "ttft" or "slo"."""
        if objective == "slo":
            return [-float(len(missed)) for missed in self.misses]
        integrals = {"e2e": self.e2e_ps, "ttft": self.ttft_ps}[objective]
        return [-(ps * 1e-12 + cost) / scale_s for ps, cost in zip(integrals, self.refusals_s, strict=True)]


def score(
    requests: Sequence[RefRequest],
    classes: Sequence[RefClass],
    result: RefResult,
    counted: Iterable[int] | None = None,
    steps: Sequence[Step] | None = None,
) -> Score:
    """What a run is worth.

    Args:
        requests: Its workload.
        classes: Its service classes.
        result: What happened.
        counted: The requests that count; None: all.
        steps: The decisions with which steps begin, in order; None: all ROUTE decisions. The first step begins with the
            run, the last one ends with it.
    """
    counted = range(len(requests)) if counted is None else counted
    steps = [(row[0], row[1]) for row in result.visible] if steps is None else steps
    bounds = [-1, *(time for _, time in steps[1:]), FOREVER]
    made = Score([0] * len(steps), [0] * len(steps), [0.0] * len(steps), [[] for _ in steps], {})
    for q in counted:
        request, record = requests[q], result.records[q]
        target = classes[request.service_class]
        refused = result.visible[result.refusals[q]][1] if q in result.refusals else None
        left = record.finish_ps if refused is None else refused
        first = record.first_token_ps if record.first_token_ps >= 0 else left
        for i in range(len(steps)):
            made.e2e_ps[i] += overlap(record.arrival_ps, left, bounds[i], bounds[i + 1])
            made.ttft_ps[i] += overlap(record.arrival_ps, first, bounds[i], bounds[i + 1])
        refusal = None
        if refused is not None:
            # It is not asked about again, so the last step about it begins with the refusal.
            refusal = max(i for i, (about, _) in enumerate(steps) if about == q)
            made.refusals_s[refusal] += target.refusal_cost_s
        late = late_ps(request, record, target, left)
        made.met[q] = late is None and refusal is None
        if late is not None:
            # A miss at the very time of a decision is in the step that ends there: the first one that ends by then.
            made.misses[next(i for i in range(len(steps)) if late <= bounds[i + 1])].append(q)
        elif refusal is not None:
            made.misses[refusal].append(q)
    return made


def overlap(begin: int, end: int, step_begin: int, step_end: int) -> int:
    """How much of begin .. end lies in the step."""
    return max(0, min(end, step_end) - max(begin, step_begin))


def late_ps(request: RefRequest, record: RefRecord, target: RefClass, left: int) -> int | None:
    """When a request, which leaves at `left`, exceeds one of its targets; None if it does not."""
    deadline = record.arrival_ps + target.ttft_ps
    first = record.first_token_ps
    # The deadline of a request that is refused at that very time comes first: it belongs to the step before.
    if target.ttft_ps > 0 and (first > deadline or (first < 0 and left >= deadline)):
        return deadline
    allowed = target.tpot_ps * (len(request.output) - 1)
    if target.tpot_ps > 0 and record.finish_ps >= 0 and record.finish_ps - first > allowed:
        return record.finish_ps
    return None
