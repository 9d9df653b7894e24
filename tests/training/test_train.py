"""`python -m agents.train`, in its smallest form."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sb3_contrib", reason="needs the extra train")

import torch

from agents import make_agent, train
from agents.leaderboard.__main__ import main as leaderboard
from agents.learned import file, learner
from kvgym.envs.vector import ClusterVectorEnv
from kvgym.evaluation.episode import play
from tests.interrupts import interruptible
from tests.scenarios import own

SMALL = ["--num-envs", "4", "--validation-seeds", "2", "--validations", "2"]
SHORT = ["--overrides", '{"episode_requests": 60, "warmup_requests": 10}']


# Workers so small that some hundred pages are evicted in an episode.
TIGHT = {"workers": [{"kv_tokens": 12_000, "cost": {"c0": 5.0, "k": 0.01}, "kv_bytes_per_token": 131_072, "count": 4}]}


def run(out: Path, *more: str, algorithm: str = "ppo", steps: int = 1024) -> None:
    few = ["--env-kwargs", '{"candidates": 8}'] if "KVGym/Evict-v0" in more else []
    train.main([algorithm, *SMALL, *SHORT, *few, "--total-steps", str(steps), "--out", str(out), *more])


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["PPO", "MaskablePPO", "dqn"])
@pytest.mark.parametrize("env_id", ["KVGym/Route-v0", "KVGym/Evict-v0", "KVGym/Joint-v0"])
def test_every_algorithm_trains_on_every_environment(tmp_path: Path, algorithm: str, env_id: str) -> None:
    overrides = json.loads(SHORT[1]) | (TIGHT if env_id == "KVGym/Evict-v0" else {})
    run(tmp_path, "--env", env_id, "--overrides", json.dumps(overrides), algorithm=algorithm, steps=256)
    (path,) = tmp_path.glob("*.pt")
    agent = make_agent("learned", path=str(path))
    assert agent.environment == env_id
    episode = play(agent, "gsp-stable", 0, overrides=overrides)
    assert episode.J > 0 and episode.n_invalid == 0 and episode.n_actions > 50


FAULTY = {
    "episode_requests": 60,
    "warmup_requests": 10,
    "workers": [{"model": "llama-3.1-8b", "gpu": "h100", "count": 4}],
    "network": {"per_node": 2, "inside": "nvlink-h100", "between": "ethernet-100g"},
    "transfer": "auto",
    "faults": {"crash_every_s": 2.0, "down_s": 1.0, "until_s": 30.0},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "env_id"),
    [
        ("ppo", "KVGym/Route-v0"),
        ("MaskablePPO", "KVGym/Route-v0"),
        ("dqn", "KVGym/Route-v0"),
        ("ppo", "KVGym/Joint-v0"),
        ("MaskablePPO", "KVGym/Joint-v0"),
        ("MaskablePPO", "KVGym/Evict-v0"),
    ],
)
def test_where_workers_crash_and_fetch_pages(tmp_path: Path, algorithm: str, env_id: str) -> None:
    faulty = FAULTY | (TIGHT if env_id == "KVGym/Evict-v0" else {})
    run(tmp_path, "--env", env_id, "--overrides", json.dumps(faulty), algorithm=algorithm, steps=256)
    (path,) = tmp_path.glob("*.pt")
    assert file.read(path).actor.shape.fetches
    agent = make_agent("learned", path=str(path))
    for seed in range(2):
        episode = play(agent, "gsp-stable", seed, overrides=faulty)
        assert episode.n_invalid == 0 and episode.metrics["n"] == 60
    assert env_id != "KVGym/Route-v0" or episode.n_actions > 60
    assert play(agent, "gsp-stable", 0, overrides={**faulty, "transfer": "never"}).n_invalid == 0
    # What it was trained on is what it plays after a checkpoint, too.
    more = ["--overrides", json.dumps(faulty), "--resume", "--minutes", "0.01"]
    run(tmp_path, "--env", env_id, *more, algorithm=algorithm, steps=256)


def test_a_file_from_before_there_were_transfers_still_plays(tmp_path: Path) -> None:
    run(tmp_path, steps=256)
    (path,) = tmp_path.glob("*.pt")
    held = torch.load(path, weights_only=True)
    assert held["shape"].pop("fetches") is False
    torch.save(held, path)
    assert play(make_agent("learned", path=str(path)), "gsp-stable", 0, overrides=json.loads(SHORT[1])).n_actions == 60


def test_the_folder_of_a_run(tmp_path: Path) -> None:
    run(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert lines[-1]["steps"] >= 1024
    assert len(lines[-1]["by_seed"]) == 2
    assert lines[-1]["J"] == pytest.approx(np.mean(list(lines[-1]["by_seed"].values())))
    best = min(lines, key=lambda line: line["J"])
    held = file.read(tmp_path / "ppo-gsp-stable-0.pt")
    assert held.origin["steps"] == best["steps"]
    assert held.origin["scenario"] == "gsp-stable" and held.origin["seed"] == 0
    assert list((tmp_path / "tensorboard").rglob("events.*"))
    # What was validated is what the file plays.
    agent = make_agent("learned", path=str(tmp_path / "ppo-gsp-stable-0.pt"))
    played = play(agent, "gsp-stable", 1, overrides=json.loads(SHORT[1]), split="validation")
    assert best["by_seed"]["1"] == played.J


def test_a_scenario_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is named by it, and goes on only with the same fields."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "shop.json"
    path.write_text(json.dumps(own.shop.to_dict()))
    argv = ["ppo", *SMALL, "--total-steps", "256", "--scenario"]
    train.main([*argv, "folder/shop.json"])
    held = file.read(tmp_path / "runs" / "ppo-Route-v0-shop-0" / "ppo-shop-0.pt")
    assert (held.origin["scenario"], held.origin["scenario_version"]) == ("shop", 0)
    train.main([*argv, "tests.scenarios.own:shop", "--resume"])  # the same fields
    path.write_text(json.dumps({**own.shop.to_dict(), "slo_ttft_s": 3.0}))
    with pytest.raises(SystemExit, match=r"scenario was .*'slo_ttft_s': 0.0.*, is .*'slo_ttft_s': 3.0"):
        train.main([*argv, str(path), "--resume"])


def test_one_file_plays_on_any_number_of_workers(tmp_path: Path) -> None:
    run(tmp_path, steps=256)
    agent = make_agent("learned", path=str(tmp_path / "ppo-gsp-stable-0.pt"))
    for count in (2, 9):
        overrides: dict[str, Any] = json.loads(SHORT[1])
        overrides["workers"] = [{"model": "llama-3.1-8b", "gpu": "l40", "count": count}]
        episode = play(agent, "gsp-stable", 0, overrides=overrides)
        assert episode.n_actions == 60


@pytest.mark.slow
def test_a_run_goes_on_after_a_kill(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agents.train", "ppo", *SMALL, *SHORT, "--out", str(tmp_path)]
    command += ["--total-steps", "1000000", "--validations", "2000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    checkpoints = tmp_path / "checkpoints"
    while not (tmp_path / "curve.jsonl").exists():  # a validation is over, so there is a checkpoint from before it
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    reached = max(int(path.name) for path in checkpoints.iterdir() if path.name.isdigit())
    before = after = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    minutes = before[-1]["seconds"] / 60  # of the run, the part before the kill included
    while len(after) == len(before):
        assert time.monotonic() < deadline
        minutes += 0.02
        train.main([*command[3:], "--resume", "--minutes", str(minutes)])
        after = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert after[-1]["steps"] > reached
    assert after[-1]["seconds"] > after[0]["seconds"]


def test_the_same_seed_trains_the_same_network(tmp_path: Path) -> None:
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        run(tmp_path / name, "--seed", seed, steps=512)
    curves = [(tmp_path / name / "curve.jsonl").read_text() for name in "abc"]
    by_seed = [[json.loads(line)["by_seed"] for line in curve.splitlines()] for curve in curves]
    assert by_seed[0] == by_seed[1]
    assert by_seed[0] != by_seed[2]


@pytest.mark.slow
def test_the_leaderboard_says_what_it_was_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(2):
        run(tmp_path / str(seed), "--seed", str(seed), steps=256)
    paths = [str(tmp_path / str(seed) / f"ppo-gsp-stable-{seed}.pt") for seed in range(2)]
    agent = ["--agent", "learned", "--agent-args", json.dumps({"path": paths})]
    leaderboard(["--seeds", "2", "--scenario", "sanity", *agent, "--out", str(tmp_path / "board")])
    rows = json.loads((tmp_path / "board" / "leaderboard.json").read_text())["scenarios"][0]["rows"]
    (row,) = [row for row in rows if row["agent"].startswith("learned")]
    assert row["agent"] == "learned(path=ppo-gsp-stable-0.pt + 1)"
    assert row["label"].startswith("trained on gsp-stable v0 with")
    assert row["label"].endswith("2 training seeds, not ranked: needs 5")
    assert f"{row['agent']}: {row['label']}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--env", "CartPole-v1"], "--env must be one of"),
        (["--scenario", "gpt"], "scenario must be one of"),
        (["--overrides", "{"], "--overrides must be JSON"),
        (["--overrides", "[]"], "--overrides must be a JSON object"),
        (["--minutes", "0"], "--minutes must be above 0"),
        (["--num-envs", "0"], "--num-envs must be"),
        (["--resume"], "there is no run in"),
        (["--hyperparams", "nowhere.yml"], "nowhere.yml"),
    ],
)
def test_bad_options_say_what_is_allowed(tmp_path: Path, more: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        train.main(["ppo", "--out", str(tmp_path), *more])
    assert not (tmp_path / "config.json").exists()


def test_a_folder_is_not_trained_over(tmp_path: Path) -> None:
    run(tmp_path, steps=256)
    with pytest.raises(SystemExit, match="there is a run"):
        run(tmp_path, steps=256)
    with pytest.raises(SystemExit, match="seed was 0, is 1"):
        run(tmp_path, "--resume", "--seed", "1", steps=256)


@pytest.mark.slow
def test_one_process_trains_in_a_folder(tmp_path: Path) -> None:
    """A run that is going on is not gone on with by another process; one that was killed is."""
    command = [sys.executable, "-m", "agents.train", "ppo", *SMALL, *SHORT, "--out", str(tmp_path)]
    command += ["--total-steps", "1000000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not (tmp_path / "config.json").exists():
            assert process.poll() is None
            time.sleep(0.05)
        with pytest.raises(SystemExit, match="another process is training in"):
            train.main([*command[3:], "--resume"])
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    train.main([*command[3:], "--resume", "--minutes", "0.02"])


@pytest.mark.slow
def test_minutes_are_wall_time_validations_included(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of the test's own: a step takes 10 ms, a validation 2 s."""
    clock = [0.0]
    monkeypatch.setattr(learner.time, "monotonic", lambda: clock[0])
    played = ClusterVectorEnv.step

    def step(self: Any, actions: Any) -> Any:
        clock[0] += 0.01
        return played(self, actions)

    def validate(*given: Any) -> dict[int, float]:
        clock[0] += 2.0
        assert given[-1] > 0
        return {0: 1.0 + clock[0]}

    monkeypatch.setattr(ClusterVectorEnv, "step", step)
    monkeypatch.setattr(learner, "validate", validate)
    run(tmp_path, "--minutes", "0.5", "--validations", "5", steps=10**9)
    assert 0.9 * 30 <= clock[0] <= 1.1 * 30
    curve = [json.loads(line)["seconds"] for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert 3 <= len(curve) <= 6  # by time, since the steps would never be over


def test_a_validation_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is a checkpoint from before it, and a trained file all the same."""
    monkeypatch.setattr(learner, "VALIDATION_S", 0.0)
    run(tmp_path, steps=512)
    assert "validation given up" in capsys.readouterr().err
    assert not (tmp_path / "curve.jsonl").exists()
    (path,) = tmp_path.glob("*.pt")
    assert file.read(path).origin["steps"] > 0
    assert any(place.name.isdigit() for place in (tmp_path / "checkpoints").iterdir())


def test_a_checkpoint_is_written_before_each_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    def validate(*given: Any) -> dict[int, float]:
        found.append(max(place.name for place in (tmp_path / "checkpoints").iterdir() if place.name.isdigit()))
        return {0: 1.0}

    monkeypatch.setattr(learner, "validate", validate)
    run(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [int(name) for name in found] == [line["steps"] for line in lines]
    state = json.loads((tmp_path / "checkpoints" / found[-1] / "progress.json").read_text())
    assert state["validated"] == lines[-1]["steps"]


@pytest.mark.slow
def test_ctrl_c_ends_within_two_seconds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agents.train", "ppo_mask", "--env", "KVGym/Evict-v0", "--out", str(tmp_path)]
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, preexec_fn=interruptible, **pipes)
    while not list((tmp_path / "tensorboard").rglob("events.*")):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 1 and said.splitlines()[-1].startswith("agents.train: interrupted")
    assert "Traceback" not in said


def test_what_is_no_trained_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is not a trained policy"):
        make_agent("learned", path=str(path))
    with pytest.raises(ValueError, match="path must be a file or several"):
        make_agent("learned", path=[])


@pytest.mark.slow
def test_ppo_learns_sanity(tmp_path: Path) -> None:
    """Shipped defaults reach 1.05 x the optimum of the two servers, from value iteration: 7.003 slots."""
    asked = ["--minutes", "2", "--total-steps", "250000", "--validations", "8"]
    train.main(["ppo", "--scenario", "sanity", *asked, "--out", str(tmp_path)])
    agent = make_agent("learned", path=str(tmp_path / "ppo-sanity-0.pt"))
    assert np.mean([play(agent, "sanity", seed).J for seed in range(16)]) <= 1.05 * 7.003
