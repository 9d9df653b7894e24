"""Ray Tune (ray 2.60) over `agents.train smdp`: training seeds and settings as trials on the nodes of a Ray cluster.

python docs/snippets/tune_smdp.py [--address auto] [--scenario gsp-stable+arc] [--decisions 200000] [--seeds 2]
"""

import argparse
from pathlib import Path

import numpy as np
import ray
from ray import tune

GRID = {"--flights": ["0", "2"], "--repeats": ["1", "4"]}
"""Options of `agents.train smdp` -> values to try, all with all."""


def trial(config):
    """Trains on one core of some node, and reports J on validation seeds."""
    from agents import make_agent, train
    from kvgym.evaluation.episode import play

    scenario, _, evictor = config["scenario"].partition("+")
    options = {name: value for name, value in config.items() if name.startswith("--")}
    words = [word for pair in options.items() for word in pair]
    train.main(["smdp", "--scenario", config["scenario"], "--num-envs", "32", *words, "--out", "run"])  # Tune's folder
    agent = make_agent("learned", path="run/policy.pt")
    given = {"evictor": evictor or None, "split": "validation"}
    J = np.mean([play(agent, scenario, seed, **given).J for seed in range(1000, 1000 + config["episodes"])])
    tune.report({"J": float(J), "node": ray.get_runtime_context().get_node_id()})


def sweep(scenario="gsp-stable+arc", decisions=200_000, seeds=2, episodes=4, grid=GRID, out="runs/tune"):
    """Plays the grid on the cluster that Ray is connected to; returns Tune's results."""
    space = {name: tune.grid_search(values) for name, values in grid.items()}
    space |= {"--seed": tune.grid_search([str(seed) for seed in range(seeds)]), "--total": str(decisions)}
    tuner = tune.Tuner(
        tune.with_resources(trial, {"cpu": 1}),
        param_space={**space, "scenario": scenario, "episodes": episodes},
        tune_config=tune.TuneConfig(metric="J", mode="min"),
        run_config=tune.RunConfig(name="smdp", storage_path=str(Path(out).resolve()), verbose=1),
    )
    return tuner.fit()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", help='of a Ray cluster ("auto": the one that runs here); default: a new one, here')
    parser.add_argument("--scenario", default="gsp-stable+arc")
    parser.add_argument("--decisions", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, default=2)
    given = vars(parser.parse_args())
    ray.init(address=given.pop("address"))
    table = sweep(**given).get_dataframe()
    print(
        table[[*(f"config/{name}" for name in (*GRID, "--seed")), "J", "node"]].sort_values("J").to_string(index=False)
    )
