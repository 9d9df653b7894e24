"""Trains: an algorithm of SB3 on the native vector form, with checkpoints and validation on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize
from tqdm import tqdm

import kvgym
from agents.training import file
from agents.training.hyperparams import Hyperparams
from agents.training.run import Run
from agents.training.validation import validate
from kvgym.evaluation.stage import ASKABLE
from kvgym.integrations.sb3 import make_sb3

CLASSES: dict[str, Any] = {"ppo": PPO, "dqn": DQN, "ppo_mask": MaskablePPO}


@dataclass(frozen=True)
class Plan:
    """What is to be trained.

    Attributes:
        algorithm: "ppo", "dqn" or "ppo_mask".
        env_id: Id of the environment.
        scenario: Name of the scenario, or all fields of one that is not of the suite.
        overrides: Fields of the scenario to change, in training and in validation.
        seed: Of the networks, of exploration and of the workloads.
        total_steps: Decisions in all.
        minutes: Stop after so many minutes of training, validation not counted; infinite = no limit.
        hyperparams: How.
        validation_seeds: Episodes of each validation.
        n_validations: How often, in all.
        threads: Of torch; the environments have their own.
    """

    algorithm: str
    env_id: str
    scenario: str | Mapping[str, Any]
    overrides: Mapping[str, Any]
    seed: int
    total_steps: int
    minutes: float
    hyperparams: Hyperparams
    validation_seeds: Sequence[int]
    n_validations: int
    threads: int = 1


def config(plan: Plan) -> dict[str, Any]:
    """What makes a run the one that it is. How long it may take, and how often it validates, may change on the way."""
    free = ("minutes", "threads", "validation_seeds", "n_validations")
    return {name: value for name, value in asdict(plan).items() if name not in free}


def train(plan: Plan, run: Run, *, resume: bool, progress: bool = True) -> None:
    """Trains to the end of the plan; the best network is in `run.trained`.

    Args:
        plan: What to train.
        run: Where it is written.
        resume: Go on from the newest checkpoint of the run, if there is one.
        progress: Show a progress bar.
    """
    torch.set_num_threads(plan.threads)
    checkpoint = run.checkpoint if resume else None
    env = _environment(plan, checkpoint)
    made = CLASSES[plan.algorithm]
    tensorboard = str(run.folder / "tensorboard")
    state: dict[str, Any] = {"seconds": 0.0, "best": math.inf}
    if checkpoint is None:
        policy = plan.hyperparams.policy.rpartition(".")
        arguments = plan.hyperparams.built
        if env.unwrapped.envs.layout.fetches:
            # A matter of the scenario, which hyper-parameters know nothing of.
            arguments["policy_kwargs"] = {**arguments.get("policy_kwargs", {}), "fetches": True}
        model = made(
            getattr(import_module(policy[0]), policy[2]),
            env,
            seed=plan.seed,
            device="cpu",
            tensorboard_log=tensorboard,
            **arguments,
        )
    else:
        model = made.load(checkpoint / "model.zip", env=env, device="cpu", tensorboard_log=tensorboard)
        state = run.restore(checkpoint, model)
        set_random_seed(plan.seed + model.num_timesteps)
    # Sub-environment i gets this + i. Training seeds never share a workload, since no run has so many steps, and a
    # resumed run plays episodes that it has not played. After the model was made: SB3 seeds the environments, too.
    env.seed(plan.seed * 10**10 + model.num_timesteps)
    watch = Watch(plan, run, state, progress)
    left = plan.total_steps - model.num_timesteps
    try:
        if left > 0 and state["seconds"] < plan.minutes * 60:
            model.learn(left, callback=watch, reset_num_timesteps=checkpoint is None, tb_log_name="run")
        watch.finish()
    finally:
        watch.close()
        env.close()


def _environment(plan: Plan, checkpoint: Path | None) -> Any:
    """The training environments, with the normalisation of a checkpoint."""
    hyperparams = plan.hyperparams
    settings = dict(hyperparams.env_kwargs)
    overrides = {**settings.pop("scenario_overrides", {}), **plan.overrides}
    env: Any = make_sb3(
        plan.env_id,
        hyperparams.n_envs,
        stagger=True,
        scenario=plan.scenario,
        scenario_overrides=overrides,
        **settings,
    )
    env = VecMonitor(env)
    if hyperparams.normalize is None:
        return env
    if checkpoint is not None and (checkpoint / "normalize.pkl").exists():
        return VecNormalize.load(str(checkpoint / "normalize.pkl"), env)
    return VecNormalize(env, gamma=hyperparams.algorithm.get("gamma", 0.99), **hyperparams.normalize)


class Watch(BaseCallback):
    """Validates, notes the curve, writes checkpoints and shows progress.

    Args:
        plan: What is trained.
        run: Where it is written.
        state: Seconds trained so far and the best mean J so far; kept up to date.
        progress: Show a progress bar.
    """

    def __init__(self, plan: Plan, run: Run, state: dict[str, Any], progress: bool) -> None:
        """Notes what to do; SB3 calls the rest."""
        super().__init__()
        self.plan, self.run, self.state = plan, run, state
        self._every = max(1, plan.total_steps // plan.n_validations)
        self._validated = 0
        self._bar = tqdm(total=plan.total_steps, unit="step", unit_scale=True, disable=not progress)

    def _on_training_start(self) -> None:
        self._clock = time.monotonic()
        self._validated = self.num_timesteps
        self._bar.update(self.num_timesteps - self._bar.n)

    def _on_step(self) -> bool:
        return self._within()

    def _on_rollout_start(self) -> None:
        # Between rollouts, when the last one has been learned from.
        self._bar.update(self.num_timesteps - self._bar.n)
        self._tick()
        if self.num_timesteps - self._validated >= self._every:
            self._validate()

    def _tick(self) -> None:
        now = time.monotonic()
        self.state["seconds"] += now - self._clock
        self._clock = now

    def _within(self) -> bool:
        """Whether there is time left."""
        return bool(self.state["seconds"] + time.monotonic() - self._clock < self.plan.minutes * 60)

    def _validate(self) -> None:
        self._tick()
        trained = self._trained()
        found = validate(trained, self.plan.scenario, self.plan.overrides, self.plan.validation_seeds)
        mean = sum(found.values()) / len(found)
        line = {"steps": self.num_timesteps, "seconds": round(self.state["seconds"], 1), "J": mean}
        self.run.note(line | {"by_seed": found})
        self.logger.record("validation/J", mean)
        better = mean < self.state["best"]
        if better:
            self.state["best"] = mean
            file.save(self.run.trained, trained)
        text = f"{self.num_timesteps:>12,} steps {self.state['seconds']:8.0f} s   validation J {mean:.4g} s"
        self._bar.write(text + ("  (best so far)" if better else ""))
        self._validated = self.num_timesteps
        self.run.save(self.model, self.state)
        self._clock = time.monotonic()

    def _trained(self) -> file.Trained:
        plan, policy = self.plan, self.model.policy
        asked = {name: value for name, value in plan.hyperparams.env_kwargs.items() if name in ASKABLE}
        single = self.training_env.unwrapped.envs.envs[0]  # type: ignore[attr-defined]
        origin = {
            "algorithm": plan.algorithm,
            "scenario": single.scenario.name,
            "scenario_version": single.scenario.version,
            "overrides": dict(plan.overrides),
            "seed": plan.seed,
            "steps": self.num_timesteps,
            "seconds": round(self.state["seconds"], 1),
            "kvgym": kvgym.__version__,
        }
        return file.Trained(policy.trained, plan.env_id, asked, origin)  # type: ignore[arg-type]

    def finish(self) -> None:
        """The last validation, if anything was learned since the one before."""
        if self.num_timesteps > self._validated:
            self._validate()

    def close(self) -> None:
        """Closes the bar."""
        self._bar.close()
