"""docs/snippets/tune_smdp.py: Ray Tune trains on both nodes of a local cluster."""

import runpy
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("ray", reason='Ray is not installed (extra "ray")')
for needed in ("pandas", "pyarrow", "tensorboardX"):
    pytest.importorskip(needed, reason='Ray Tune is not installed: pip install "ray[tune]"')

SNIPPET = Path(__file__).parents[2] / "docs/snippets/tune_smdp.py"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_trials_run_on_two_nodes(tmp_path, monkeypatch):
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        cluster.wait_for_nodes()
        sweep = runpy.run_path(str(SNIPPET))["sweep"]
        grid = {"--flights": ["0", "2"], "--steps": ["16"], "--set": ["episode_requests=200"]}
        results = sweep("multi-turn", 1024, seeds=2, episodes=1, grid=grid, out=tmp_path)
        assert not results.errors and len(results) == 4
        found = results.get_dataframe()
        assert np.isfinite(found["J"]).all() and found["node"].nunique() == 2
        again = found[found["config/--flights"] == "0"]
        assert again["J"].nunique() == 2  # seeds train other networks
    finally:
        ray.shutdown()
        cluster.shutdown()
