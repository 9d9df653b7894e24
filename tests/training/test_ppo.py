"""The single-file PPO, and what it plays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from agents import make_agent, train  # noqa: E402
from agents.learned import file, groups, ppo  # noqa: E402
from kvgym.envs.layout import Layout  # noqa: E402
from kvgym.envs.route import RouteVectorEnv  # noqa: E402
from kvgym.evaluation.episode import play  # noqa: E402

SHORT = {"episode_requests": 40, "warmup_requests": 10}
SMALL = {"num_envs": 4, "steps": 16, "batch": 32, "epochs": 2, "width": 8}


def learner(names: tuple[str, ...] = ("gsp-stable",), **settings: Any) -> ppo.Learner:
    chosen = ppo.Settings(**{**SMALL, **settings})
    played = groups.entries(names, None, SHORT)
    made = groups.make(played, chosen.num_envs, chosen.repeats, {}, chosen.seed, horizon="truncate")
    found = ppo.Learner(chosen, played, made)
    found.begin()
    return found


def test_the_same_seed_learns_the_same_and_another_one_does_not() -> None:
    found = []
    for seed in (0, 0, 1):
        one = learner(seed=seed)
        for _ in range(2):
            one.iterate()
        found.append(one.weights.detach())
        assert torch.equal(one.weights[-one.critic.rest[2].bias.numel() :], one.critic.rest[2].bias)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


@pytest.mark.parametrize("second", [0.0, 0.5])
def test_advantages_are_those_of_the_definition(second: float) -> None:
    """Discounts by request or by time, ends of episodes, and values behind a cut, by the sum instead of backwards."""
    one = learner(second=second, gamma=0.9, decay=0.8)
    (rollout,) = one.rollouts
    for _ in range(4):  # episodes of 40 decisions: several cuts
        one.play()
    assert rollout.cut
    one.judge()
    reward, arrivals, seconds, ended = rollout.real.transpose(1, 0, 2)
    scale = np.sqrt(one.scales[0].variance) + 1e-8
    seen = rollout.observations.reshape(-1, rollout.group.width)
    values = one.critic(torch.from_numpy(seen)).detach().numpy().reshape(-1, 4).astype(float)
    units = seconds / second if second else arrivals
    expected = np.zeros((16, 4))
    for i in range(4):
        for t in range(16):
            share = 1.0
            for k in range(t, 16):
                after = values[k + 1, i] * (1 - ended[k, i])
                for step, place, last in rollout.cut:
                    if (step, place) == (k, i):
                        after = float(one.critic(torch.from_numpy(last[None])).detach())
                expected[t, i] += share * (reward[k, i] / scale + 0.9 ** units[k, i] * after - values[k, i])
                share *= (0.9 * 0.8) ** units[k, i] * (1 - ended[k, i])
    assert np.allclose(rollout.targets, expected + values[:16], atol=1e-5)
    assert np.allclose(rollout.advantages, (expected - expected.mean()) / expected.std(), atol=1e-4)


def test_the_first_gradient_is_that_of_the_policy_gradient() -> None:
    """The kernel's scores, with which was played, are torch's: before the first step all ratios are one."""
    one = learner(("gsp-stable", "chat-70b"), corrects=True)
    one.play()
    one.judge()
    for rollout in one.rollouts:
        loss, kl = one.loss(rollout.parts())
        assert abs(kl) < 1e-3 and torch.isfinite(loss)


def test_repeats_play_the_same_arrivals_and_are_each_others_baseline() -> None:
    one = learner(("gsp-stable", "straggler"), num_envs=8, repeats=2)
    one.play()
    prompts = one.groups[0].n_workers and one.rollouts[0].observations[:-1, :, 0]
    assert np.array_equal(prompts[:, ::2], prompts[:, 1::2])
    assert not np.array_equal(prompts[:, 0], prompts[:, 2])
    one.judge()
    assert np.allclose(one.rollouts[0].advantages.reshape(16, -1, 2).mean(2), 0, atol=1e-9)


def test_a_run_writes_goes_on_and_plays_with_fetches_or_without(tmp_path: Path) -> None:
    fields = [f"{name}={value}" for name, value in SHORT.items()]
    common = [
        "--set",
        *fields,
        "view=exact",
        "--out",
        str(tmp_path),
        "--num-envs",
        "4",
        "--steps",
        "16",
        "--width",
        "8",
    ]
    common += ["--scenario", "gsp-stable", "chat-70b+wlfu", "--corrects"]
    train.main(["smdp", *common, "--total", "64"])
    first = file.read(tmp_path / "policy.pt")
    assert first.origin["scenario"] == "gsp-stable chat-70b+wlfu" and first.env_kwargs == {"view": "exact"}
    assert json.loads((tmp_path / "curve.jsonl").read_text().splitlines()[-1])["steps"] == 64
    with pytest.raises(SystemExit, match="there is a run"):
        train.main(["smdp", *common, "--total", "64"])
    with pytest.raises(SystemExit, match="another one"):
        train.main(["smdp", *common, "--total", "64", "--seed", "1", "--resume"])
    agent = make_agent("learned", path=str(tmp_path / "policy.pt"))
    network = {"per_node": 2, "inside": "nvlink-h100", "between": "ethernet-100g"}
    fetching = {"workers": [{"model": "llama-3.1-8b", "gpu": "h100", "count": 4}], "network": network}
    for more in ({}, {**fetching, "transfer": "auto"}, {"n_workers": 7}):
        assert play(agent, "gsp-stable", 0, overrides={**SHORT, **more}).n_actions == 40


def test_one_run_learns_with_transfers_and_without() -> None:
    network = {"per_node": 2, "inside": "nvlink-h100", "between": "ethernet-100g"}
    workers = [{"model": "llama-3.1-8b", "gpu": "h100", "count": 4}]
    (entry,) = groups.entries(("gsp-stable",), None, SHORT)
    other = entry.scenario.with_overrides({"workers": workers, "network": network, "transfer": "auto"})
    played = [entry, groups.Entry(other, None)]
    one = ppo.Learner(ppo.Settings(**SMALL), played, groups.make(played, 4, 1, {}, 0, horizon="truncate"))
    one.begin()
    one.iterate()
    (group,) = one.groups
    fetched = one.rollouts[0].observations[:, :, Layout(4, fetches=True).workers("fetch_s")]
    assert one.actor.shape.fetches and list(group.of) == [0, 0, 1, 1]
    assert not fetched[:, :2].any() and fetched[:, 2:].any()


def test_a_checkpoint_has_all_that_learning_goes_on_with(tmp_path: Path) -> None:
    one, other, more = learner(flights=1.0), learner(flights=1.0), {"scenario": "gsp-stable", "overrides": {}}
    one.iterate()
    one.save(tmp_path, more)
    other.load(tmp_path, more)
    assert torch.equal(one.weights, other.weights) and (one.done, one.scales) == (other.done, other.scales)
    assert one.random.random() == other.random.random()
    before = other.weights.detach().clone()
    other.begin()  # episodes that were not played before
    other.iterate()
    assert other.done == 128 and not torch.equal(before, other.weights)
    with pytest.raises(ValueError, match="another one"):
        other.load(tmp_path, {})


def test_loads_are_played_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[float] = []
    make = groups.make

    def noted(entries: Any, *args: Any, **settings: Any) -> Any:
        played.append(round(entries[0].scenario.rate_scale, 6))
        return make(entries, *args, **settings)

    monkeypatch.setattr(groups, "make", noted)
    fields = [f"{name}={value}" for name, value in SHORT.items()]
    words = ["smdp", "--set", *fields, "rate_scale=0.9", "--num-envs", "4", "--steps", "16", "--width", "8"]
    words += ["--loads", "0.5", "1", "--out", str(tmp_path)]
    train.main([*words, "--total", "192"])
    assert played == [0.45, 0.9]
    assert file.read(tmp_path / "policy.pt").origin["loads"] == [0.5, 1.0]
    train.main([*words, "--total", "192", "--resume"])  # all done: nothing is played
    ranges = tmp_path / "ranges.toml"
    ranges.write_text("rate_scale = { low = 0.5, high = 1.0 }")
    for more in (["--randomise", str(ranges)], ["--loads", "0"]):
        with pytest.raises(SystemExit, match="--loads"):
            train.main([*words, *more])


def test_scenarios_are_named_with_evictors() -> None:
    found = groups.entries(("gsp-stable", "chat+lfu"), "frontier", {})
    assert [entry.name for entry in found] == ["gsp-stable+arc", "chat+lfu"]
    assert groups.entries(("trace",), "frontier", {})[0].evictor is None
    with pytest.raises(ValueError, match="held out"):
        groups.entries(("drift",), None, {})


def test_fields_are_drawn_from_ranges(tmp_path: Path) -> None:
    path = tmp_path / "ranges.toml"
    path.write_text(
        "n_workers = { choices = [2, 8] }\nrate_scale = { low = 0.5, high = 1.0, log = true }\n"
        '"engine.max_running" = { low = 64, high = 66 }\n'
    )
    ranges, (entry,) = groups.read_ranges(path), groups.entries(("gsp-stable",), None, {})
    found = [groups.drawn(entry.scenario, ranges, np.random.default_rng(seed)) for seed in range(40)]
    assert {len(one.cluster) for one in found} == {2, 8}
    assert {one.engine.max_running for one in found} == {64, 65, 66}
    per_worker = [one.rate_scale / len(one.cluster) * 4 for one in found]
    assert 0.5 <= min(per_worker) < 0.6 and 0.9 < max(per_worker) <= 1.0
    made = groups.make([entry], 6, 1, ranges, 0, horizon="truncate")
    assert {group.n_workers for group in made} == {2, 8} and sum(group.size for group in made) == 6
    for text, message in (
        ("a = 1", "a must be"),
        ("[chat]\na = 1", "a must be"),
        ("a = {low = 2, high = 1}", "a must be"),
        ("a =", "not TOML"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            groups.read_ranges(path)


def test_fields_of_one_scenario_are_drawn_for_that_one_and_arrivals_follow_the_fleet(tmp_path: Path) -> None:
    path = tmp_path / "ranges.toml"
    path.write_text(
        "rate_scale = { choices = [0.5] }\n[documents]\n"
        'workers = { choices = [[{ model = "llama-3.1-8b", gpu = "h100", count = 2 }]] }\n'
    )
    ranges = groups.read_ranges(path)
    four, other = (entry.scenario for entry in groups.entries(("documents", "chat"), None, {}))
    two = groups.drawn(four, ranges, np.random.default_rng(0))
    assert (len(four.cluster), len(two.cluster)) == (4, 2)
    assert two.rate_scale == pytest.approx(0.25)  # half as many of the same GPU, at half the load
    same = groups.drawn(other, ranges, np.random.default_rng(0))
    assert same.cluster == other.cluster and same.rate_scale == 0.5


def test_settings_and_numbers_of_environments_are_checked() -> None:
    with pytest.raises(ValueError, match="--steps must be"):
        ppo.Settings(steps=0)
    with pytest.raises(ValueError, match="--gamma"):
        ppo.Settings(gamma=1.5)
    played = groups.entries(("gsp-stable", "chat"), None, {})
    with pytest.raises(ValueError, match="--num-envs must be a multiple of --repeats, and at least 4"):
        groups.make(played, 3, 2, {}, 0)


def test_it_reaches_the_optimum_of_sanity(tmp_path: Path) -> None:
    """200,000 decisions come to 1.02 x the optimum of 7.00 slots on test seeds: some ten seconds of a core.

    Nothing that happens there lasts long, so the discount is short; draws are kept wide, or a worse rule is settled on.
    """
    how = ["--gamma", "0.9", "--decay", "0.9", "--rate", "0.005", "--entropy", "0.03", "--width", "32"]
    asked = ["--set", "episode_requests=512", "--total", "200000", "--num-envs", "128", *how]
    train.main(["smdp", "--scenario", "sanity", *asked, "--out", str(tmp_path)])
    actor = file.read(tmp_path / "policy.pt").actor
    envs = RouteVectorEnv(16, scenario="sanity", split="test", autoreset_mode="Disabled")
    observations, infos = envs.reset(seed=0)
    while "episode_metrics" not in infos:  # episodes are as long as each other
        with torch.no_grad():
            actions = actor(torch.from_numpy(observations)).argmax(1).numpy()
        observations, *_, infos = envs.step(actions)
    assert infos["_episode_metrics"].all()
    assert infos["episode_metrics"]["J"].mean() <= 1.02 * 7.00


@pytest.mark.slow
def test_it_learns_sanity(tmp_path: Path) -> None:
    """Shipped defaults reach 1.05 x the optimum of the two servers, from value iteration: 7.003 slots."""
    asked = ["--set", "episode_requests=512", "--total", "300000"]
    train.main(["smdp", "--scenario", "sanity", *asked, "--out", str(tmp_path)])
    agent = make_agent("learned", path=str(tmp_path / "policy.pt"))
    assert np.mean([play(agent, "sanity", seed).J for seed in range(16)]) <= 1.05 * 7.003
