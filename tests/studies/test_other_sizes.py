import pytest

from kvgym.scenarios import get_scenario
from studies import other_sizes


@pytest.mark.parametrize(("name", "workers", "size"), [("drift", 16, 16), ("new-gpus", 16, 18), ("new-gpus", 2, 6)])
def test_a_fleet_of_another_size_has_as_many_arrivals_for_each_worker(name, workers, size):
    scenario = get_scenario(name)
    grown = scenario.with_overrides(other_sizes.fleet(name, workers, 0.7))
    assert len(grown.cluster) == size
    assert grown.rate_scale == pytest.approx(0.7 * size / len(scenario.cluster))
    kinds = {worker.cost for worker in scenario.cluster.workers}
    assert {worker.cost for worker in grown.cluster.workers} == kinds


@pytest.mark.parametrize("given", [["--seeds", "1"], ["--router", "nobody"], ["--loads", "0"]])
def test_bad_options_are_named(given):
    with pytest.raises(SystemExit, match=given[0].lstrip("-") if given[0] != "--router" else "nobody"):
        other_sizes.main(given)
