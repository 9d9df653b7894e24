"""Golden workloads: `python -m tests.scenarios.golden` writes their hashes again after an intended change."""

from __future__ import annotations

import json
from pathlib import Path

from kvgym.scenarios import SCENARIOS, SPLITS

FILE = Path(__file__).with_name("golden.json")


def content(name: str, version: str, split: str) -> str:
    """Content hash of a scenario's second episode after seed 7."""
    scenario = SCENARIOS[name]
    assert scenario.version == int(version)
    return scenario.workload(scenario.seeds(7, split, 1)[0], split).content_hash()


if __name__ == "__main__":
    rows = [(name, str(s.version), split) for name, s in SCENARIOS.items() if name != "trace" for split in SPLITS]
    hashes = {" ".join(row): content(*row) for row in rows}
    FILE.write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")
