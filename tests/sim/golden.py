"""Golden runs: hashes of integer records, one per evictor and schedule. Costs are whole numbers, so no libm is in them.

python -m tests.sim.golden      writes them anew, after a change that is meant to alter results
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.sim import EVICTORS, Simulator
from kvgym.workload import gsp

FILE = Path(__file__).with_name("golden.json")
COST = IterationCost.from_table([1, 8192], [10.0, 10.0 + 8191 * 0.125], a_kv=2.0**-12)
FIELDS = ("worker", "arrived_ps", "admitted_ps", "first_token_ps", "finish_ps", "hit_tokens", "preemptions")


def digests() -> dict[str, str]:
    """SHA-256 of every run."""
    workload = gsp(7, 16, groups=12, prompts_per_group=20, lengths=(300, 900, 2000), output_tokens=24, rate=12.0)
    found = {}
    for schedule in ("mixed", "prefill_first"):
        engine = EngineSpec(16, schedule, chunk_tokens=1024, max_running=16)
        for evictor in EVICTORS:
            sim = Simulator(ClusterSpec.uniform(2, 400, COST), engine, evictor, "prefix_affinity")
            sim.reset(workload, 3)
            sim.run()
            digest = hashlib.sha256()
            for name in FIELDS:
                digest.update(sim.tables["progress"][name].astype("<i8").tobytes())
            found[f"{schedule} {evictor}"] = digest.hexdigest()
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(digests(), indent=1) + "\n", encoding="utf-8")
