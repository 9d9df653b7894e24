"""The same seed and actions give the same episode for ever, as long as the id's version stays."""

import json

import pytest

from envs_registry import ENVIRONMENTS
from tests.envs.golden import EVICTOR, FILE, PLAYED, places, trajectory
from tests.envs.helpers import SMALL

STORED = json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("where", STORED)
def test_trajectories_are_those_of_before(where):
    assert trajectory(*where.split()) == STORED[where], (
        "results changed: see 'Golden values' in CONTRIBUTING.md; python -m tests.envs.golden writes the new ones"
    )


def test_every_id_and_scenario_has_one():
    assert list(STORED) == places()
    assert {name for name, *_ in PLAYED.values()} == set(ENVIRONMENTS) <= set(PLAYED)
    assert set(EVICTOR) == set(SMALL)
    assert len(set(STORED.values())) == len(STORED)  # nothing is played twice, and "truncate" does truncate
