"""The studies of fleets: their tables say what was played."""

import numpy as np
import pytest

from studies import fleet_study
from studies.fleet_study import CHANGES, WINDOWS, errors


def test_ranks_and_distances():
    found = {
        "a": (np.array([1.0, 1.0, 1.0]), np.array([6.0, 6.0, 6.0])),
        "b": (np.array([2.0, 2.0, 2.0]), np.array([3.0, 3.0, 3.0])),
    }
    lines = fleet_study._ranking_table(found).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert cells == [
        ["b", "2.00", "2", "2.00 (2.00 to 2.00)", "3.00", "1", "1.00 (1.00 to 1.00)"],
        ["a", "1.00", "1", "1.00 (1.00 to 1.00)", "6.00", "2", "2.00 (2.00 to 2.00)"],
    ]


def test_calm_forms_have_no_faults_and_equal_workers():
    for name, overrides in fleet_study.CALM.items():
        calm = fleet_study.get_scenario(name, overrides)
        assert calm.fault_schedule(np.random.SeedSequence(1)) == ()
        assert len(set(calm.cluster.workers)) == 1


def test_links_with_overlap_are_faster():
    plain, layered = (
        fleet_study.fetching("least_loaded", "ethernet-100g", 2, overlap)["ttft_mean"] for overlap in (False, True)
    )
    assert (layered < plain).all()


@pytest.mark.parametrize("name", CHANGES)
def test_errors_by_window(name):
    found = errors({}, CHANGES[name], 0)
    assert list(found) == list(WINDOWS)
    counts = {window: (len(changed), len(others)) for window, (changed, others) in found.items()}
    assert all(others > 50 for _, others in counts.values())
    away = counts["first 5 s"][0] + counts["rest of 20 s"][0]
    assert (away == 0) == (name == "crash")
    assert counts["30 s before"][0] > 50 and counts["25 s after that"][0] > 50
    if name == "slow":  # nobody told the router
        assert np.median(found["first 5 s"][0]) > 1.5 * np.median(found["first 5 s"][1])
