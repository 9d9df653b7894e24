import json

from tests.sim.golden import FILE, digests


def test_runs_are_those_of_before():
    found = digests()
    assert len(set(found.values())) == len(found)  # every evictor and schedule makes a difference
    assert found == json.loads(FILE.read_text(encoding="utf-8")), "meant? python -m tests.sim.golden, and CHANGELOG.md"
