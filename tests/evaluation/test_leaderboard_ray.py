"""The leaderboard on a Ray cluster of two nodes: the same numbers as here, but for what was measured in seconds."""

import json

import pytest

from agents.leaderboard.__main__ import main

pytest.importorskip("ray", reason='Ray is not installed (extra "ray")')

SMALL = ["--scenario", "gsp-stable", "sanity", "--set", "warmup_requests=50", "episode_requests=250"]


def numbers(folder):
    """What leaderboard.json holds, without the time of decisions."""
    value = json.loads((folder / "leaderboard.json").read_text())
    for scenario in value["scenarios"]:
        for row in scenario["rows"]:
            assert row["metrics"].pop("decision_us") > 0.0
    return value


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_two_nodes_give_the_same_tables(tmp_path, capsys):
    import ray
    from ray.cluster_utils import Cluster

    argv = [*SMALL, "--agent", "llmd", "lmetric", "--seeds", "4"]
    assert main([*argv, "--workers", "1", "--out", str(tmp_path / "here")]) == 0

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        cluster.wait_for_nodes()
        assert main([*argv, "--backend", "ray", "--out", str(tmp_path / "there")]) == 0
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert numbers(tmp_path / "here") == numbers(tmp_path / "there")
