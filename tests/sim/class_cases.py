"""Random service classes, queues by priority and refusals for random cases."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from tests.reference import RefClass
from tests.sim.cases import Case
from tests.sim.moving_cases import moving_case


def class_case(seed: int, evictor: str, schedule: str, **changes: Any) -> Case:
    """A random case of one to four classes, most with a queue by priority; half of those that an agent routes refuse.

    Args:
        seed: It depends on this and the others alone.
        evictor: Name of the evictor.
        schedule: Of the engine.
        **changes: As for `moving_case`.
    """
    rng = random.Random(seed + 3_000_000)
    fails, moves = rng.random() < 0.4, rng.random() < 0.4
    case = moving_case(seed, evictor, schedule, **{"moves": moves, "fails": fails, **changes})
    classes = [
        RefClass(
            rng.choice([0, 100, 3000]), rng.choice([0, 100, 130]), rng.randint(-1, 2), rng.choice([0.0, 0.5, 3e-9])
        )
        for _ in range(rng.randint(1, 4))
    ]
    share = rng.choice([0.0, 0.1, 0.4]) if case.router == "agent" else 0.0
    return dataclasses.replace(
        case,
        requests=[dataclasses.replace(request, service_class=rng.randrange(len(classes))) for request in case.requests],
        engine=dataclasses.replace(case.engine, queue=rng.choice(["priority", "priority", "priority", "fcfs"])),
        classes=classes,
        refuse={q: rng.choice([0, 0, 1]) for q in range(len(case.requests)) if rng.random() < share},
    )
