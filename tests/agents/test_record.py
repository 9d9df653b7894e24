"""Episodes as datasets: what is logged is what was played, with the probability of each action."""

import importlib.util
import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from agents import NAMED, make_agent
from agents.record import __main__ as command
from agents.record import recipes
from agents.record.episode import play
from agents.record.mixture import Mixture
from kvgym import evaluation
from kvgym.evaluation.stage import make_env
from tests.envs.helpers import small

DOCS = Path(__file__).parents[2] / "docs"
FEW_PAGES = {"recipe_args": {"lengths": [512, 2048]}, "workers": [{"kv_tokens": 4096, "cost": {"c0": 20.0}}] * 2}
TIGHT = small("gsp-stable", **FEW_PAGES)
SMALL = [f"{name}={json.dumps(value)}" for name, value in small("gsp-stable").items()]
CERTAIN = ("round_robin", "least_loaded", "session_affinity", "vllm_dp", "skywalker", "lmetric", "lpwl_aged", "lbgr")


def log_of(agent, overrides=None):
    env = make_env(agent, "gsp-stable", overrides=overrides or small("gsp-stable"), split="train")
    return play(env, agent, 3)


@pytest.mark.parametrize("name", ["random", "power_of_two", "lbgr_code"])
def test_one_agent_alone_plays_as_everywhere(name):
    log = log_of(Mixture([make_agent(name)]))
    episode = evaluation.play(make_agent(name), "gsp-stable", 3, overrides=small("gsp-stable"), split="train")
    assert log.facts == {key: getattr(episode, key) for key in log.facts}
    known = np.isfinite(log.infos["propensity"])
    assert not known[-1] and known[:-1].all() == (name != "power_of_two")


def test_the_return_is_that_of_the_episode():
    log = log_of(Mixture([make_agent("lpwl_aged")]))
    scenario = make_env(make_agent("random"), "gsp-stable", overrides=small("gsp-stable")).scenario
    cost = -log.rewards.sum() * scenario.reward_scale_s / scenario.episode_requests
    assert cost == pytest.approx(log.facts["J"], rel=1e-9)
    assert log.terminations[-1] and not log.terminations[:-1].any() and not log.truncations.any()


def test_propensities_of_a_mixture():
    agent = Mixture([make_agent("random"), make_agent("least_loaded")], [1, 3], epsilon=0.2)
    log = log_of(agent, overrides={**small("gsp-stable"), "episode_requests": 600, "recipe_args": {}})
    inflight = log.observations[:-1, agent.at["inflight"]]
    steps = np.arange(len(log.actions))
    followed = log.actions == inflight.argmin(axis=1)
    expected = 0.2 / 4 + 0.8 * (0.25 / 4 + 0.75 * followed)
    np.testing.assert_allclose(log.infos["propensity"][steps], expected, rtol=1e-12)
    # Each action has a probability above 0, so the mean of 1 / p estimates their number.
    assert np.mean(1 / expected) == pytest.approx(4, abs=1.0)
    assert followed.mean() == pytest.approx(0.2 / 4 + 0.8 * (0.25 / 4 + 0.75), abs=0.06)


@pytest.mark.parametrize(
    ("agent", "n_certain"),
    [
        (Mixture([make_agent("rlt")], epsilon=0.5), 2),
        (Mixture([make_agent("random_leaf")]), 16),
        (Mixture([make_agent("pair", router="lmetric", evictor="lru")], epsilon=0.5), 2),
        (Mixture([make_agent("rule_pair", router="random", rule="lru")], epsilon=0.5), None),
    ],
    ids=["evict", "random leaf", "joint", "joint rule, unknown"],
)
def test_evictors_and_pairs(agent, n_certain):
    log = log_of(agent, overrides=TIGHT)
    legal, found = log.infos["action_mask"][:-1].sum(axis=1), log.infos["propensity"][:-1]
    if n_certain is None:
        assert np.isnan(found).all()
        return
    allowed = [1 / legal] if agent.epsilon == 0 else [0.5 / legal, 0.5 + 0.5 / legal]
    assert np.min([np.abs(found - one) for one in allowed], axis=0).max() < 1e-12
    assert len(set(log.actions.tolist())) > 1


def test_agents_that_say_that_they_do_not_draw_do_not():
    class Shut:
        def __getattr__(self, name):
            raise AssertionError(f"it asks for {name}")

    for name in [*CERTAIN, "lbgr_code"]:
        agent = make_agent(name)
        assert not agent.draws
        env = make_env(agent, "gsp-stable", overrides=small("gsp-stable"), split="train")
        observation, info = env.reset(seed=0)
        agent.reset(env, 0)
        agent.random = Shut()
        for _ in range(30):
            observation, _, _, _, info = env.step(agent.act(observation, info))
    certain = {name for name, made in NAMED.items() if not made.draws}
    assert certain == {
        *CERTAIN,
        "lpwl",
        "lpwl_miss8",
        "lpwl_tuned",
        "lbgr_code",
        "lbgr_unbounded",
        "lru",
        "rlt",
        "gdsf",
        "learned:router",
        "learned:evictor",
    }


def test_mixtures_of_what_does_not_go_together():
    with pytest.raises(ValueError, match="agents of a mixture must play the same environment"):
        Mixture([make_agent("random"), make_agent("rlt")])
    with pytest.raises(ValueError, match="weights must be a number for each of the 1 agents"):
        Mixture([make_agent("random")], [1, 2])
    with pytest.raises(ValueError, match="weights must have a sum above 0"):
        Mixture([make_agent("random")], [0])
    with pytest.raises(ValueError, match="epsilon must be"):
        Mixture([make_agent("random")], epsilon=2)


def test_an_action_that_is_not_legal_is_refused():
    agent = Mixture([make_agent("random_leaf")])
    agent.act = lambda observation, info: int(info["action_mask"].argmin())
    with pytest.raises(ValueError, match=r"decision 0 of seed 3: action .* is not legal"):
        log_of(agent, TIGHT)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_recipes_are_mixtures_with_known_propensities(name):
    recipe = recipes.RECIPES[name]
    agent = Mixture([make_agent(one, **kwargs) for one, kwargs in recipe.agents], recipe.weights, recipe.epsilon)
    assert np.isfinite(log_of(agent).infos["propensity"][:-1]).all()


# Datasets on disk.


@pytest.fixture
def minari(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    pytest.importorskip("h5py", reason="the extra datasets is not installed")
    return pytest.importorskip("minari", reason="the extra datasets is not installed")


def test_a_dataset_is_loaded_and_played_again(minari, capsys):
    """With warnings as errors: what Minari has to say about a dataset it says in warnings."""
    words = ["--recipe", "mixed", "--seeds", "2-3", "--set", *SMALL]
    assert command.main(words) == 0
    said = capsys.readouterr()
    assert "2 episodes, 72 steps" in said.out and "propensities are known of 100 % of the actions" in said.out
    dataset = minari.load_dataset("kvgym/gsp-stable/mixed-v0")
    assert (dataset.total_episodes, dataset.total_steps) == (2, 72)
    assert dict(minari.list_local_datasets()).keys() == {"kvgym/gsp-stable/mixed-v0"}
    facts = dataset.storage.metadata["kvgym"]
    assert facts["seeds"] == [2, 3] and facts["split"] == "train" and facts["command"].endswith(words[-1])
    env = dataset.recover_environment()
    assert env.observation_space == dataset.observation_space and env.action_space == dataset.action_space
    metadata = list(dataset.storage.get_episode_metadata([0, 1]))
    for episode, own in zip(dataset.iterate_episodes(), metadata, strict=True):
        observation, info = env.reset(seed=own["seed"])
        for t, action in enumerate(episode.actions):
            assert np.array_equal(observation, episode.observations[t]) and observation in dataset.observation_space
            assert np.array_equal(info["action_mask"], episode.infos["action_mask"][t]) and action in env.action_space
            observation, reward, terminated, truncated, info = env.step(action)
            assert (reward, terminated, truncated) == (
                episode.rewards[t],
                episode.terminations[t],
                episode.truncations[t],
            )
        assert terminated and np.array_equal(observation, episode.observations[-1])
        assert info["episode_metrics"]["J"] == own["J"]
    exec((DOCS / "datasets.md").read_text(encoding="utf-8").rpartition("```python\n")[2].partition("```")[0], {})
    again = minari.combine_datasets([dataset, dataset], "kvgym/twice-v0")
    assert again.total_episodes == 4


def test_pairs_of_a_worker_and_a_rule_are_stored(minari):
    agents = ["--agent", "rule_pair", "--agent-args", '{"router": "lmetric", "rule": "lru"}', "--epsilon", "0.25"]
    assert command.main([*agents, "--seeds", "1", "--id", "pairs-v3", "--set", *SMALL]) == 0
    (episode,) = minari.load_dataset("pairs-v3").iterate_episodes()
    assert episode.actions.shape == (36, 2) and np.isfinite(episode.infos["propensity"][:-1]).all()
    assert isinstance(minari.load_dataset("pairs-v3").action_space, gym.spaces.MultiDiscrete)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give either --recipe (random, mixed, best) or --agent"),
        (["--recipe", "random", "--agent", "lbgr"], "give either --recipe"),
        (["--recipe", "random", "--epsilon", "0.1"], "--epsilon is for --agent"),
        (["--recipe", "random", "--split", "test"], "what agents are scored on is never trained on"),
        (["--recipe", "random", "--scenario", "large-fleet"], "is held out for tests"),
        (["--recipe", "random", "--id", "no version/"], "--id must be as in"),
        (["--recipe", "random", "--seeds", "0"], "--seeds must be an integer >= 1"),
        (["--agent", "nobody"], "agent must be one of"),
        (["--agent", "rlt", "--evictor", "lru"], "evictor must be None"),
        (["--recipe", "random", "--scenario", "gsp", "--trace", "x.jsonl"], "--trace is a scenario of its own"),
    ],
)
def test_bad_options(minari, capsys, words, message):
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == 2 and message in capsys.readouterr().err


def test_nothing_is_left_of_an_interrupted_dataset_and_none_is_overwritten(minari, tmp_path, monkeypatch, capsys):
    words = ["--recipe", "random", "--seeds", "3", "--set", *SMALL]
    played = []

    def interrupted(env, agent, seed):
        if len(played) == 2:
            assert minari.list_local_datasets() == {}  # what is under way is no dataset yet
            raise KeyboardInterrupt
        played.append(seed)
        return play(env, agent, seed)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(command, "play", interrupted)
        command.main(words)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert command.main(words) == 0
    with pytest.raises(SystemExit):
        command.main(words)
    assert "there is such a dataset already" in capsys.readouterr().err


def test_the_example_that_learns_from_logs_finds_what_a_choice_costs(minari):
    """With too little to learn much: the fit is that of NumPy, and the fitted router plays."""
    spec = importlib.util.spec_from_file_location("learn_from_logs", DOCS / "snippets" / "learn_from_logs.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    agent = Mixture([make_agent("random")])
    log = log_of(agent, overrides={**small("gsp-stable"), "episode_requests": 600, "recipe_args": {}})
    weights = example.fit([log], agent.layout, 30)
    assert weights.shape == (3,) and weights[2] > 0  # a longer queue costs more
    assert np.isfinite(log_of(Mixture([example.Fitted(weights)])).infos["propensity"][:-1]).all()
