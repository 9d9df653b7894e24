"""Trains: an algorithm of SB3 on the native vector form, with checkpoints and validation on the way."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
from kvgym import _homes
from kvgym.evaluation.stage import ASKABLE
from kvgym.integrations.sb3 import make_sb3

from . import buffers, file
from .hyperparams import Hyperparams
from .policies import Shared, blocks
from .run import Run
from .validation import validate

CHECKPOINT_S = 60.0
"""A checkpoint is at most about so old."""
VALIDATION_S = 300.0
"""A validation that takes longer is given up."""
VALIDATING_S, VALIDATING_SHARE = 10.0, 0.25
"""Seconds that all validations may take, and the share of a run's time that they may take beyond."""
GRACE = 0.05
"""Share of the time of a run by which its last validation may exceed it, and which is kept for the first one."""

CLASSES: dict[str, Any] = {"ppo": PPO, "dqn": DQN, "ppo_mask": MaskablePPO}


@dataclass(frozen=True)
class Plan:
    """A training run that is asked for.

    Attributes:
        algorithm: "ppo", "dqn" or "ppo_mask".
        env_id: Id of the environment.
        scenario: Name of the scenario, or all fields of one that is not of the suite.
        overrides: Fields of the scenario to change, in training and in validation.
        seed: Of the networks, of exploration and of the workloads.
        total_steps: Decisions in all.
        minutes: Stop after so many minutes, validations included; infinite = no limit.
        hyperparams: How.
        validation_seeds: Episodes of each validation.
        n_validations: How often, in all, unless validations would take more than a quarter of the time.
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


@dataclass
class State:
    """How far a run is; part of its checkpoints.

    Attributes:
        seconds: Of training and validation so far.
        validating: Of these, seconds of validation.
        longest: Seconds that the longest validation took.
        best: The best mean J (s) so far.
        validated: Decisions at the last validation.
        n_validations: Validations so far.
    """

    seconds: float = 0.0
    validating: float = 0.0
    longest: float = 0.0
    best: float = math.inf
    validated: int = 0
    n_validations: int = 0


def config(plan: Plan) -> dict[str, Any]:
    """Identity of a run. How long it may take, and how often it validates, may change on the way."""
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
    tensorboard = str(run.folder / "tensorboard")
    state = State()
    if checkpoint is None:
        model = _model(plan, env, tensorboard)
    else:
        # Classes are those of this installation, whatever the modules were called where the checkpoint was written.
        ours = {"policy_class": _policy(plan), **buffers.arguments(plan.algorithm, _gamma(plan))}
        model = CLASSES[plan.algorithm].load(
            checkpoint / "model.zip", env=env, device="cpu", custom_objects=ours, tensorboard_log=tensorboard
        )
        state = State(**run.restore(checkpoint, model))
        set_random_seed(plan.seed + model.num_timesteps)
    buffers.attach(model, env)
    # Sub-environment i gets this + i. Training seeds never share a workload, since no run has so many steps, and a
    # resumed run plays episodes that it has not played. After the model was made: SB3 seeds the environments, too.
    env.seed(plan.seed * 10**10 + model.num_timesteps)
    watch = Watch(plan, run, state, progress)
    left = plan.total_steps - model.num_timesteps
    try:
        if left > 0 and state.seconds < plan.minutes * 60:
            model.learn(left, callback=watch, reset_num_timesteps=checkpoint is None, tb_log_name="run")
        watch.finish()
    finally:
        watch.bar.close()
        env.close()


def _model(plan: Plan, env: Any, tensorboard: str) -> Any:
    """The algorithm at its start."""
    policy = _policy(plan)
    arguments = plan.hyperparams.built
    if issubclass(policy, Shared):
        # What there is to see is a matter of scenario and arguments, of which hyper-parameters know nothing.
        arguments["policy_kwargs"] = {**arguments.get("policy_kwargs", {}), **blocks(env.unwrapped.envs.layout)}
    return CLASSES[plan.algorithm](
        policy,
        env,
        seed=plan.seed,
        device="cpu",
        tensorboard_log=tensorboard,
        **arguments,
        **buffers.arguments(plan.algorithm, _gamma(plan)),
    )


def _gamma(plan: Plan) -> float:
    """Discount of a request; the default is SB3's."""
    return float(plan.hyperparams.algorithm.get("gamma", 0.99))


def _policy(plan: Plan) -> Any:
    """The policy class that the hyper-parameters name."""
    module, _, name = plan.hyperparams.policy.rpartition(".")
    return getattr(_homes.load(module), name)


def _environment(plan: Plan, checkpoint: Path | None) -> Any:
    """The training environments, with the normalisation of a checkpoint."""
    hyperparams = plan.hyperparams
    settings = dict(hyperparams.env_kwargs)
    overrides = {**settings.pop("scenario_overrides", {}), **plan.overrides}
    settings |= {"stagger": True, "scenario": plan.scenario, "scenario_overrides": overrides}
    env: Any = VecMonitor(make_sb3(plan.env_id, hyperparams.n_envs, **settings))
    if hyperparams.normalize is None:
        return env
    if checkpoint is not None and (checkpoint / "normalize.pkl").exists():
        return VecNormalize.load(str(checkpoint / "normalize.pkl"), env)
    return VecNormalize(env, gamma=_gamma(plan), **hyperparams.normalize)


class Watch(BaseCallback):
    """Validates, notes the curve, writes checkpoints and shows progress.

    Args:
        plan: What is trained.
        run: Where it is written.
        state: How far it is; kept up to date.
        progress: Show a progress bar.
    """

    def __init__(self, plan: Plan, run: Run, state: State, progress: bool) -> None:
        """Notes what to do; SB3 calls the rest."""
        super().__init__()
        self.plan, self.run, self.state = plan, run, state
        self._limit = plan.minutes * 60
        self._clock = self._saved = time.monotonic()
        self.bar = tqdm(total=plan.total_steps, unit="step", unit_scale=True, disable=not progress)

    def _on_training_start(self) -> None:
        self._tick()
        self.bar.update(self.num_timesteps - self.bar.n)

    def _on_step(self) -> bool:
        if math.isinf(self._limit):
            return True
        # What the last validation will take is kept for it; a guess, as long as there was none.
        longest = self.state.longest or GRACE * self._limit
        return self._tick() + 1.1 * longest < self._limit

    def _on_rollout_start(self) -> None:
        # Between rollouts, when the last one has been learned from.
        self.bar.update(self.num_timesteps - self.bar.n)
        if self._due():
            self._validate()
        elif time.monotonic() - self._saved > CHECKPOINT_S:
            self._save()

    def _tick(self) -> float:
        """Seconds of the run so far."""
        now = time.monotonic()
        self.state.seconds += now - self._clock
        self._clock = now
        return self.state.seconds

    def _share(self) -> float:
        """How much of the run is done: by steps, or by time where that is limited."""
        return max(self.num_timesteps / self.plan.total_steps, self._tick() / self._limit)

    def _due(self) -> bool:
        """Whether it is time for a validation."""
        state = self.state
        if self._share() * self.plan.n_validations < state.n_validations + 1:
            return False
        return state.validating <= VALIDATING_S + VALIDATING_SHARE * state.seconds

    def _save(self) -> None:
        self.run.save(self.model, asdict(self.state))
        self._saved = time.monotonic()

    def _validate(self) -> None:
        """Validates the network as it is, after a checkpoint: nothing is lost whatever becomes of the validation."""
        state, trained = self.state, self._trained()
        state.validated = self.num_timesteps
        state.n_validations = int(self._share() * self.plan.n_validations + 1e-9)
        self._save()
        begun = self._tick()
        left = max(self._limit * (1 + GRACE) - begun, 0.0)
        found = validate(
            trained, self.plan.scenario, self.plan.overrides, self.plan.validation_seeds, min(left, VALIDATION_S)
        )
        took = self._tick() - begun
        state.validating += took
        state.longest = max(state.longest, took)
        text = f"{self.num_timesteps:>12,} steps {state.seconds:8.0f} s   "
        if found is None:
            self._say(f"{text}validation given up after {took:.0f} s: fewer --validation-seeds take less")
            if not self.run.trained.exists():
                file.save(self.run.trained, trained)
            return
        mean = sum(found.values()) / len(found)
        self.run.note({"steps": self.num_timesteps, "seconds": round(begun, 1), "J": mean, "by_seed": found})
        self.logger.record("validation/J", mean)
        better = mean < state.best
        if better:
            state.best = mean
            file.save(self.run.trained, trained)
        self._say(f"{text}validation J {mean:.4g} s" + ("  (best so far)" if better else ""))
        self._save()

    def _say(self, line: str) -> None:
        self.bar.write(line, file=sys.stderr)

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
            "seconds": round(self.state.seconds, 1),
            "kvgym": kvgym.__version__,
        }
        return file.Trained(policy.trained, plan.env_id, asked, origin)  # type: ignore[arg-type]

    def finish(self) -> None:
        """The last validation, if anything was learned since the one before."""
        if self.num_timesteps > self.state.validated:
            self._validate()
