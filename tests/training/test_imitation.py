"""An evictor that imitates belady: what it is told of the future, what it learns of it, and how it plays."""

from __future__ import annotations

from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest

from agents.learned import leaf_scorer
from agents.learned.evictor import LearnedEvictor
from agents.learned.leaf_kernel import N_INPUTS, N_LEAF
from agents.learned.leaf_scorer import Inputs, LeafScorer
from kvgym.envs.features import CANDIDATE_FEATURES
from kvgym.evaluation import play

KWARGS = {"action": "leaf", "candidates": 8, "offer": "unhit", "quantum": "leaf"}
SHORT = {"episode_requests": 250, "warmup_requests": 100}


def random_scorer(seed=0, env_kwargs=KWARGS):
    rng = np.random.default_rng(seed)
    sizes = (N_INPUTS, 8, 8, 1)
    weights = tuple(
        (rng.normal(size=(n, m)).astype(np.float32), rng.normal(size=m).astype(np.float32)) for n, m in pairwise(sizes)
    )
    return LeafScorer(weights, env_kwargs, {"scenario": "gsp-stable"})


def random_inputs(n, seed=1):
    """Of leaves that are offered together."""
    inputs = np.random.default_rng(seed).normal(size=(n, N_INPUTS)).astype(np.float32)
    inputs[:, N_LEAF:] = inputs[0, N_LEAF:]
    return inputs


def test_what_is_read_of_an_observation():
    asked = {"action": "leaf", "candidates": 8, "offer": "unhit"}
    env = gym.make("kvgym:KVGym/Evict-v0", scenario_overrides=SHORT, split="validation", **asked)
    observation, info = env.reset(seed=0)
    layout, checked = env.unwrapped.layout, 0
    read = Inputs(layout)
    over = False
    while not over:
        inputs, slots = read(observation)
        np.testing.assert_array_equal(slots, np.flatnonzero(info["action_mask"]))
        physical = env.unwrapped.simulator.candidates()
        seen = {name: physical[name][slots] for name in ("idle_s", "hits", "recompute_s", "tail_pages")}
        at = {feature.name: place for place, feature in enumerate(CANDIDATE_FEATURES[1:])}
        idle = np.log1p(seen["idle_s"])
        np.testing.assert_allclose(inputs[:, at["idle"]], idle, atol=1e-5)
        np.testing.assert_allclose(inputs[:, at["hits"]], np.log1p(seen["hits"]), atol=1e-5)
        np.testing.assert_allclose(inputs[:, N_LEAF - 5], idle - idle[0], atol=1e-5)
        cost = np.log1p(seen["recompute_s"] / 0.01) - np.log1p(seen["tail_pages"] / 16)
        np.testing.assert_allclose(inputs[:, N_LEAF - 1], cost, atol=1e-4)
        np.testing.assert_allclose(inputs[:, N_LEAF + at["idle"]], idle.mean(), atol=1e-4)
        checked += 1
        observation, _, terminated, truncated, info = env.step(int(slots[-1]))
        over = terminated or truncated or checked == 200
    assert checked == 200


def test_scores_are_those_of_the_network_in_torch():
    torch = pytest.importorskip("torch")
    scorer, inputs = random_scorer(), random_inputs(50)
    layers = []
    for matrix, bias in scorer.weights:
        layer = torch.nn.Linear(*matrix.shape)
        layer.weight.data, layer.bias.data = torch.from_numpy(matrix.T), torch.from_numpy(bias)
        layers += [layer, torch.nn.ReLU()]
    expected = torch.nn.Sequential(*layers[:-1])(torch.from_numpy(inputs))[:, 0]
    lost = expected.detach().numpy() + inputs[:, N_LEAF - 1]
    np.testing.assert_allclose(scorer(inputs), -lost, rtol=1e-4, atol=1e-3)


def test_a_file_holds_the_scorer(tmp_path):
    scorer, inputs = random_scorer(), random_inputs(5)
    scorer.save(tmp_path / "evictor.npz")
    found = leaf_scorer.read(tmp_path / "evictor.npz")
    np.testing.assert_array_equal(found(inputs), scorer(inputs))
    assert (found.env_kwargs, found.origin) == (KWARGS, {"scenario": "gsp-stable"})


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name in ("text.npz", "other.npz"):
        with pytest.raises(ValueError, match=f"{name} is not a trained evictor"):
            LearnedEvictor(str(tmp_path / name))


def test_it_plays_and_names_legal_slots_alone():
    first, again = (play(LearnedEvictor(random_scorer()), "gsp-stable", 0, overrides=SHORT) for _ in range(2))
    assert first.n_invalid == 0 and first.n_actions > 100
    assert first.records_sha256 == again.records_sha256


def test_an_episode_without_evictions():
    few = {"episode_requests": 2, "warmup_requests": 0}
    assert play(LearnedEvictor(random_scorer()), "gsp-stable", 0, overrides=few).n_actions == 1


def test_the_oracle_tells_the_next_request_that_needs_what_would_go():
    pytest.importorskip("torch")
    from agents.learned.imitation import Teacher

    class Checked(Teacher):
        finite = 0

        def _next_use(self, slot, pages, waiting):
            found = super()._next_use(slot, pages, waiting)
            simulator, workload = self.env.simulator, self.env.workload
            leaf = simulator.tables["rows"][simulator.tables["candidates"][slot]]
            lowest = simulator.candidates()["depth"][slot] - pages * workload.page_size
            node, users = int(leaf["node"]), []
            path = []
            while node >= 0:
                path.append(node)
                node = int(workload.nodes["parent"][node])
            for request in np.flatnonzero(waiting).tolist():
                row = workload.requests[request]
                held = set(workload.paths[row["path_start"] :][: row["path_nodes"]].tolist())
                shared = [v for v in path if v in held]
                if shared:
                    end = max(workload.nodes["start_page"][v] + workload.nodes["n_pages"][v] for v in shared)
                    reach = min(end, row["prompt_tokens"] // workload.page_size) * workload.page_size
                    if reach > lowest:
                        users.append(request)
            assert found == (users[0] if users else np.inf)
            self.finite += found < np.inf
            return found

    teacher = Checked(None, KWARGS, 0.05)
    play(teacher, "gsp-stable", 0, overrides={**SHORT, "episode_requests": 700}, split="train")
    assert teacher.finite > 3
    lessons = teacher.lessons()
    assert lessons.inputs.shape[1:] == (8, N_INPUTS) and np.nanmin(lessons.distance) >= 0


def test_it_learns_which_leaf_is_needed_soon():
    pytest.importorskip("torch")
    from agents.learned.imitation import Lessons, fit

    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(300, 8, N_INPUTS)).astype(np.float16)
    inputs[..., N_LEAF:] = inputs[:, :1, N_LEAF:]
    inputs[..., N_LEAF - 1] = 0  # all cost the same
    distance = np.where(inputs[..., 3] > 0, 10.0, np.inf).astype(np.float32)
    distance[:, 7] = np.nan
    scorer = fit([Lessons(inputs, distance)], 100.0, 100, 0, KWARGS)
    best = [scorer(row[:7].astype(np.float32)).argmax() for row in inputs]
    assert np.mean(distance[np.arange(300), best] == np.inf) > 0.98


def test_bad_options(capsys):
    pytest.importorskip("torch")
    from agents import train

    for options, said in (
        (["--rounds", "0"], "--rounds must be"),
        (["--horizon", "0"], "--horizon must be"),
        (["--scenario", "drift"], "drift is held out"),
        (["--scenario", "nowhere"], "--scenario"),
    ):
        with pytest.raises(SystemExit, match=said):
            train.main(["imitate", *options])
