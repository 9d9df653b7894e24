"""Golden runs: hashes of integer records, one per evictor and schedule. Costs are whole numbers, so no libm is in them.

Evictors whose keys hold logarithms or exponentials are left out: another libm may order near ties otherwise.

python -m tests.sim.golden      writes them anew, after a change that is meant to alter results
"""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.sim import EVICTORS, Simulator
from kvgym.workload import ServiceClass, Workload, gsp

FILE = Path(__file__).with_name("golden.json")
COST = IterationCost.from_table([1, 8192], [10.0, 10.0 + 8191 * 0.125], a_kv=2.0**-12)
FIELDS = ("worker", "arrived_ps", "admitted_ps", "first_token_ps", "finish_ps", "hit_tokens", "preemptions")
CLASSES = (ServiceClass("urgent"), ServiceClass("patient", priority=1))
WITH_LIBM = ("wlfu", "workload_aware")
ON_SHARED_PREFIXES = ("lru", "lru_node", "random", "rlt", "rlt_code", "belady")


def documents() -> Workload:
    """Questions on documents of very different length and popularity: keyed evictors all choose differently."""
    rng = random.Random(7)
    length = [rng.choice((300, 1500, 4500)) for _ in range(24)]
    asked = [min(int(rng.expovariate(0.15)), 23) for _ in range(240)]
    return Workload.from_segments(
        [2 * i for i in range(241)],
        [segment for i, d in enumerate(asked) for segment in (d, 100 + i)],
        [0] * 480,
        [tokens for d in asked for tokens in (length[d], 60)],
        [8] * 240,
        [i / 8 for i in range(240)],
        16,
        sessions=asked,
        service_classes=[d % 2 for d in asked],
    )


def digests() -> dict[str, str]:
    """SHA-256 of every run."""
    shared = gsp(7, 16, groups=12, prompts_per_group=20, lengths=(300, 900, 2000), output_tokens=24, rate=12.0)
    found = {}
    for schedule in ("mixed", "prefill_first"):
        engine = EngineSpec(16, schedule, chunk_tokens=1024, max_running=16)
        for evictor in EVICTORS:
            if evictor in WITH_LIBM:
                continue
            workload, pages = (shared, 400) if evictor in ON_SHARED_PREFIXES else (documents(), 700)
            sim = Simulator(ClusterSpec.uniform(2, pages, COST), engine, evictor, "prefix_affinity")
            sim.reset(workload, 3, classes=CLASSES)
            sim.run()
            digest = hashlib.sha256()
            for name in FIELDS:
                digest.update(sim.tables["progress"][name].astype("<i8").tobytes())
            found[f"{schedule} {evictor}"] = digest.hexdigest()
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(digests(), indent=1) + "\n", encoding="utf-8")
