"""Networks that come with the suite, and how they are shipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents import make_agent
from agents.learned import pretrained
from agents.learned.evictor import LearnedEvictor
from agents.learned.router import ShippedRouter
from kvgym.envs.layout import Layout
from kvgym.evaluation.episode import play
from kvgym.evaluation.stage import make_env

SHORT = {"episode_requests": 60, "warmup_requests": 40}
FETCHING = {
    "workers": [{"model": "llama-3.1-8b", "gpu": "h100", "count": 4}],
    "network": {"per_node": 2, "inside": "nvlink-h100", "between": "ethernet-100g"},
    "transfer": "auto",
}


@pytest.mark.parametrize("overrides", [{}, {"n_workers": 16}, FETCHING], ids=["as it is", "16 workers", "fetches"])
def test_the_shipped_router_chooses_as_its_network_does_in_torch(overrides: dict[str, object]) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra train")
    from agents.learned.network import Actor, Shape, fitted

    shipped = pretrained.read("router")
    fetches = shipped.weights["trunk.worker.weight"].shape[1] // 2 != (Layout(1).size - Layout(0).size)
    width = len(shipped.weights["trunk.context.bias"])
    actor = Actor(Shape(width=width, fetches=fetches, corrects="of_work" in shipped.weights))
    actor.load_state_dict({name: torch.from_numpy(value) for name, value in shipped.weights.items()})
    agent = make_agent("learned:router")
    env = make_env(agent, "gsp-stable", overrides={**SHORT, **overrides}, split="validation")
    observation, info = env.reset(seed=0)
    agent.reset(env, 0)
    over = False
    while not over:
        action = agent.act(observation, info)
        seen = torch.from_numpy(fitted(observation, env.layout, actor.shape)[None])
        assert action == int(actor(seen).argmax(1))
        observation, _, over, _, info = env.step(action)


def test_it_needs_no_torch() -> None:
    made = "make_agent('learned:router'); make_agent('learned:evictor')"
    code = f"import sys; from agents import make_agent; {made}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_worker_that_is_down_is_not_chosen() -> None:
    agent = make_agent("learned:router")
    env = make_env(agent, "gsp-stable", overrides=SHORT, split="validation")
    observation, info = env.reset(seed=0)
    agent.reset(env, 0)
    for worker in range(3):
        chosen = agent.act(observation, info)
        info["action_mask"][chosen] = 0
        assert info["action_mask"].sum() == 3 - worker


def test_with_a_temperature_it_draws_by_softmax() -> None:
    """In the first state, where four idle workers look alike, and never one that is down."""
    best, drawing = make_agent("learned:router"), make_agent("learned:router", temperature=0.3)
    assert drawing.draws and not best.draws
    env = make_env(drawing, "multi-turn", split="validation")
    observation, info = env.reset(seed=0)
    info["action_mask"][1] = 0
    drawing.reset(env, 0)
    chosen = np.bincount([drawing.act(observation, info) for _ in range(600)], minlength=4)
    scores = np.array(drawing.scores) / 0.3
    scores[1] = -np.inf
    share = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    assert chosen[1] == 0 and np.allclose(chosen / 600, share, atol=0.08)
    drawing.reset(env, 0)
    first = [drawing.act(observation, info) for _ in range(20)]
    drawing.reset(env, 0)
    assert first == [drawing.act(observation, info) for _ in range(20)]
    with pytest.raises(ValueError, match="temperature must be"):
        make_agent("learned:router", temperature=-1.0)


def test_files_that_are_no_network_are_refused(tmp_path: Path) -> None:
    for made in (ShippedRouter, LearnedEvictor):
        with pytest.raises(ValueError, match=r"name must be one of evictor, router; got 'nobody'"):
            made("nobody")
    for made, other in ((ShippedRouter, "evictor"), (LearnedEvictor, "router")):
        with pytest.raises(ValueError, match="is not a"):
            made(other)
    path = tmp_path / "mine.npz"
    for save in (lambda: path.write_text("no"), lambda: np.savez(path, a=np.zeros(3))):
        save()
        with pytest.raises(ValueError, match="is not a shipped network"):
            pretrained.read(str(path))


def test_the_card_says_a_command_that_gives_the_same_settings() -> None:
    pytest.importorskip("torch", reason="needs the extra train")
    from agents.learned import command, es, router_card
    from agents.learned.ppo import Settings

    settings = Settings(num_envs=8, repeats=2, gamma=0.99, corrects=True, seed=3, minutes=2.0)
    how = {key: value for key, value in vars(settings).items() if key not in ("seed", "minutes", "threads")}
    origin = {"scenario": "chat gsp-stable+arc", "overrides": {"view": "exact", "count": 3}, "ranges": {}}
    origin |= {"settings": how, "seconds": 118.0, "seed": 3, "algorithm": "smdp-ppo"}
    line = router_card.command_line("mine", origin | {"loads": [0.6, 1.0]})
    assert line.startswith("python -m agents.train smdp --scenario ")
    given = command.make_parser().parse_args(line.split()[4:])
    assert {key: getattr(given, key) for key in vars(settings)} == vars(settings)
    assert given.scenario == ["chat", "gsp-stable+arc"] and given.set == ["view=exact", "count=3"]
    assert given.loads == [0.6, 1.0]
    evolved = origin | {"algorithm": "es", "settings": vars(es.Settings(pairs=4))}
    line = router_card.command_line("mine", evolved)
    assert line.startswith("python -m agents.train es --scenario ") and "--pairs 4 " in line and "--loads" not in line


@pytest.mark.slow
def test_a_router_is_shipped_with_its_card(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra train")
    from agents import train
    from agents.learned import ship

    options = ["--set", "episode_requests=60", "--num-envs", "4", "--steps", "16", "--width", "8", "--total", "64"]
    train.main(["smdp", "--out", str(tmp_path / "run"), *options])
    ship.main([str(tmp_path / "run" / "policy.pt"), "mine", "--seeds", "3", "--out", str(tmp_path)])
    card = (tmp_path / "mine.md").read_text()
    assert "gsp-stable" in card and "drift" in card and "Slower than the frontier" in card
    assert ShippedRouter(str(tmp_path / "mine.npz")).trained_on == "gsp-stable by smdp-ppo"


def test_the_shipped_evictor_plays_and_says_what_it_is() -> None:
    agent = make_agent("learned:evictor")
    played = play(agent, "gsp-stable", 0, overrides={"episode_requests": 250, "warmup_requests": 100})
    assert played.n_invalid == 0 and not played.oracle
    assert "gsp-stable" in agent.trained_on and agent.training_seeds == 1


@pytest.mark.slow
def test_an_evictor_is_shipped_with_its_card(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra train")
    from agents import train
    from agents.learned import ship

    short = ["--set", "episode_requests=600", "--rounds", "1", "--steps", "20"]
    train.main(["imitate", "--scenario", "gsp-stable", "--out", str(tmp_path / "run"), *short])
    told = [str(tmp_path / "run" / "evictor.npz"), "mine", "--seeds", "3", "--scenario", "gsp-stable", "long-doc"]
    ship.main([*told, "--out", str(tmp_path)])
    card = (tmp_path / "mine.md").read_text()
    assert "gsp-stable" in card and "## Not trained on" in card and "the best rule of each" in card
    assert LearnedEvictor(str(tmp_path / "mine.npz")).trained_on == "gsp-stable by imitation of belady"
