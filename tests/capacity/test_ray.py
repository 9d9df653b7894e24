"""On a Ray cluster of two nodes, one of which is killed: the same numbers as here, and nothing is lost."""

import json
import threading
import time

import pytest

from agents.capacity.__main__ import main

pytest.importorskip("ray", reason='Ray is not installed (extra "ray")')

SMALL = ["--scenario", "gsp-stable", "--set", "warmup_requests=50", "episode_requests=250"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_node_is_killed(tmp_path, capsys):
    import ray
    from ray.cluster_utils import Cluster

    argv = [*SMALL, "--agent", "llmd", "lmetric", "--seeds", "8", "--ttft-p95", "5"]
    assert main([*argv, "--workers", "1", "--out", str(tmp_path / "here")]) == 0

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        cluster.wait_for_nodes()
        folder, played = tmp_path / "there" / "runs", []

        def kill():
            while not list(folder.glob("*.json")):  # once something has been played
                time.sleep(0.05)
            cluster.remove_node(second, allow_graceful=False)
            played.append(len(list(folder.glob("*.json"))))

        thread = threading.Thread(target=kill)
        thread.start()
        assert main([*argv, "--backend", "ray", "--out", str(tmp_path / "there")]) == 0
        thread.join()
        assert played[0] < len(list(folder.glob("*.json")))  # there was work left when it went
        deadline = time.monotonic() + 60
        while sum(node["Alive"] for node in ray.nodes()) == 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert sum(node["Alive"] for node in ray.nodes()) == 1
    finally:
        ray.shutdown()
        cluster.shutdown()
    here, there = (json.loads((tmp_path / place / "capacity.json").read_text()) for place in ("here", "there"))
    assert here == there
    assert [row["rate"] > 0 for row in here["rows"]] == [True, True]
