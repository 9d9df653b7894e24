"""PPO for semi-Markov decisions in one file, on the native vector form: one network, one scenario or many at once.

Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) for KVGym/Route-v0 in the style of CleanRL (Huang
et al. 2022, JMLR 23): read it from the top to the bottom. What is not usual:

- A step is discounted by gamma to the power of the requests that arrived in it, or of the seconds that it took over
  `--second` (semi-Markov decisions, Bradtke and Duff 1994); generalised advantage estimation (arXiv 1506.02438) alike.
- Rewards are divided by a running deviation of the discounted return of their scenario, and advantages are normalised
  scenario by scenario, so that none drowns the others.
- Several environments may play the same arrivals (`--repeats`): each is the baseline of the others, since what the
  arrivals alone bring is nobody's merit (input-dependent baselines, Mao et al. 2019, arXiv 1807.02264).
- What the network computes without a weight (`Trunk.look`) is computed once per decision, not once per epoch.

Needs torch and nothing else of the extra "train". The command is `python -m agents.train smdp`.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kvgym import _atomic, _check
from kvgym.envs.features import WORKER, WORKER_FEATURES
from kvgym.envs.layout import Layout

from . import file
from .groups import Entry, Group, Scale
from .kernel import Scorer
from .network import SHARPNESS, Actor, Critic, Seen, Shape, start

Array = NDArray[np.float64]
LOST = -1e9
"""Score of a worker that is down."""
LEARNED = ("actor", "critic", "optimiser")
_INFLIGHT = WORKER_FEATURES[WORKER.inflight]


@dataclass(frozen=True)
class Settings:
    """How it learns; the defaults are those of `hyperparams/ppo.yml`.

    Raises:
        ValueError: If a number is not allowed.
    """

    num_envs: int = 64  # environments in all
    repeats: int = 1  # so many of them play the same arrivals, and an advantage is one over the others
    steps: int = 64  # decisions of each between two updates
    total: int = 3_000_000  # decisions in all
    minutes: float = math.inf  # stop after so many; without a limit the same seed learns the same
    batch: int = 1024  # decisions of a minibatch
    epochs: int = 4  # how often an update sees each decision
    gamma: float = 0.997  # discount of a request, or of `second` seconds
    second: float = 0.0  # seconds that count as a request does; 0: discount by request
    decay: float = 0.95  # lambda of generalised advantage estimation, in the same unit
    flights: float = 0.0  # lambda looks ahead at least so many times the requests in flight, gamma five times as far
    rate: float = 6e-4  # learning rate at first; it falls to 0 in a straight line
    clip: float = 0.2  # of the ratio of probabilities
    entropy: float = 0.0  # its weight
    max_kl: float = math.inf  # an update ends after an epoch in which the policy moved so far
    width: int = 64  # units of a hidden layer
    corrects: bool = False  # the network's scores are a correction to a rule's
    loyalty: float = 0.0  # weight of the divergence from that rule: where little is to be gained, it is followed
    critic_first: int = 0  # so many decisions are learned from by the critic alone
    imitate: str = ""  # before that the network learns this rule's decisions; "frontier": the best pair's
    imitate_decisions: int = 60_000  # so many of them
    threads: int = 1  # of torch
    seed: int = 0  # of everything

    def __post_init__(self) -> None:
        """Checks the numbers."""
        for name in ("num_envs", "repeats", "steps", "total", "batch", "epochs", "width", "threads"):
            _check.whole(f"--{name.replace('_', '-')}", getattr(self, name), 1)
        for name in ("gamma", "decay", "second", "flights", "rate", "clip", "entropy", "loyalty"):
            _check.finite(f"--{name}", getattr(self, name), 0.0, 1.0 if name in ("gamma", "decay") else math.inf)
        if not self.minutes > 0 or not self.max_kl > 0:
            raise ValueError(f"--minutes and --max-kl must be above 0, got {self.minutes} and {self.max_kl}")
        if self.loyalty and not self.corrects:
            raise ValueError(f"--loyalty is to the rule of --corrects, and needs it; got {self.loyalty} without")


class Rollout:
    """Decisions of a group between two updates, in memory that is used again and again."""

    def __init__(self, group: Group, steps: int) -> None:
        self.group, self.steps = group, steps
        actions = (steps, group.size, group.n_workers)
        self.observations = np.zeros((steps + 1, group.size, group.width), np.float32)
        self.masks, self.scores = np.ones(actions, bool), np.zeros(actions, np.float32)
        self.actions = np.zeros(actions[:2], np.int64)
        self.real = np.zeros((steps, 4, group.size))
        self.cut: list[tuple[int, int, Any]] = []
        self.returns = np.zeros(group.size)  # discounted so far, for the scale of rewards
        self.advantages = self.targets = np.zeros(0)
        self.seen: Seen | None = None

    def parts(self) -> list[Tensor]:
        """What an update wants to know of each decision, a row each: what was seen; mask, action, .., see `loss`."""
        n, actions = self.actions.size, torch.from_numpy(self.actions.reshape(-1, 1))
        masks, scores = (torch.from_numpy(x.reshape(n, -1)) for x in (self.masks, self.scores))
        columns = (torch.from_numpy(x.astype(np.float32).reshape(-1, 1)) for x in (self.advantages, self.targets))
        assert self.seen is not None
        return [*self.seen, masks, actions, torch.log_softmax(scores, 1).gather(1, actions), *columns]


def flattened(*networks: nn.Module) -> nn.Parameter:
    """All weights as one vector, of which those of the networks become parts: an optimiser takes one step, not many."""
    weights = [weight for network in networks for weight in network.parameters()]
    whole = nn.Parameter(torch.cat([weight.detach().flatten() for weight in weights]))
    whole.grad = torch.zeros_like(whole)
    first = 0
    for weight in weights:
        part = slice(first, first + weight.numel())
        weight.data, weight.grad = whole.data[part].view_as(weight), whole.grad[part].view_as(weight)
        first = part.stop
    return whole


@dataclass
class Learner:
    """Networks, optimiser and rollouts; `update` is the algorithm.

    Attributes:
        settings: How it learns.
        played: The scenarios.
        groups: Their environments.
        done: Decisions so far.
        seconds: Of learning so far.
    """

    settings: Settings
    played: list[Entry]
    groups: list[Group]
    done: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Makes what is learned."""
        s = self.settings
        torch.set_num_threads(s.threads)
        torch.manual_seed(s.seed)
        self.random = np.random.Generator(np.random.PCG64(s.seed))
        shape = Shape(width=s.width, fetches=self.groups[0].fetches, corrects=s.corrects)
        self.actor, self.critic = Actor(shape), Critic(shape)
        start(self.actor, self.critic)
        self.weights = flattened(self.actor, self.critic)
        self.optimiser = torch.optim.Adam([self.weights], lr=s.rate, eps=1e-5, fused=True)
        self.rollouts = [Rollout(group, s.steps) for group in self.groups]
        self.scales = [Scale() for _ in self.played]

    def enter(self, groups: list[Group]) -> None:
        """Goes on in other environments, of the same scenarios with another load."""
        for group in self.groups:
            group.close()
        self.groups, self.rollouts = groups, [Rollout(group, self.settings.steps) for group in groups]
        self.begin()

    def begin(self) -> None:
        """Starts episodes that were not played before."""
        seed = self.settings.seed * 10**10 + self.done
        for rollout in self.rollouts:
            rollout.group.reset(seed, rollout.observations[-1])

    def scorer(self) -> Scorer:
        """The actor, compiled."""
        return Scorer({name: weight.numpy() for name, weight in self.actor.state_dict().items()})

    def play(self) -> None:
        """Fills the rollouts; the network is played by the kernel, which no call of torch holds up."""
        scorer = self.scorer()
        for rollout in self.rollouts:
            group, rollout.cut = rollout.group, []
            noise = -np.log(self.random.standard_exponential(rollout.scores.shape, np.float32) + 1e-30)
            rollout.observations[0] = rollout.observations[-1]
            for step in range(self.settings.steps):
                rollout.masks[step] = group.masks
                scores = np.where(group.masks, scorer(rollout.observations[step], group.n_workers), LOST)
                actions = (scores + noise[step]).argmax(1)  # a draw by probability (Gumbel's)
                rollout.scores[step], rollout.actions[step] = scores, actions
                rollout.real[step], cut = group.step(actions, rollout.observations[step + 1])
                rollout.cut += [(step, *last) for last in cut]

    def discounts(self, rollout: Rollout) -> tuple[Array, Array]:
        """Of what comes after each decision, for returns and for advantages: (steps, size) each."""
        s, of = self.settings, rollout.group.of
        _, arrivals, seconds, _ = rollout.real.transpose(1, 0, 2)
        units = seconds / s.second if s.second else arrivals
        if not s.flights:
            return s.gamma**units, (s.gamma * s.decay) ** units
        flying = rollout.observations[:-1, :, Layout(rollout.group.n_workers).workers("inflight")]
        requests = _INFLIGHT.scale * np.expm1(flying * np.log1p(_INFLIGHT.cap / _INFLIGHT.scale)).sum(2).mean(0)
        for entry in np.unique(of):
            self.scales[entry].follow(float(requests[of == entry].mean()))
        horizon = s.flights * np.array([self.scales[entry].in_flight for entry in of]) + 1e-9
        gamma = np.maximum(s.gamma, np.exp(-0.2 / horizon))
        return gamma**units, (gamma * np.maximum(s.decay, np.exp(-1.0 / horizon))) ** units

    def rewards(self, rollout: Rollout, discount: Array) -> Array:
        """Rewards over the deviation of the discounted returns of their scenario: (steps, size)."""
        reward, ended, of = rollout.real[:, 0], rollout.real[:, 3], rollout.group.of
        returns = np.empty_like(reward)
        for step in range(len(reward)):
            returns[step] = rollout.returns * discount[step] + reward[step]
            rollout.returns = returns[step] * (1 - ended[step])
        for entry in np.unique(of):
            self.scales[entry].add(returns[:, of == entry])
        scaled: Array = reward / np.array([math.sqrt(self.scales[entry].variance) + 1e-8 for entry in of])
        return scaled

    @torch.no_grad()
    def judge(self) -> None:
        """Values and advantages of the rollouts."""
        s = self.settings
        for rollout in self.rollouts:
            rollout.seen = self.look(rollout.observations[:-1].reshape(-1, rollout.group.width))
            discount, fade = self.discounts(rollout)
            going_on = 1 - rollout.real[:, 3]
            values = self.values(rollout.seen).reshape(s.steps, -1)
            after = np.vstack([values[1:], self.values(self.look(rollout.observations[-1]))[None]]) * going_on
            if rollout.cut:  # the value behind a cut stands for what was not played
                steps, places, last = zip(*rollout.cut, strict=True)
                after[steps, places] = self.values(self.look(np.stack(last)))
            advantages = self.rewards(rollout, discount) + discount * after - values
            for step in reversed(range(s.steps - 1)):
                advantages[step] += fade[step] * going_on[step] * advantages[step + 1]
            rollout.targets = advantages + values
            if s.repeats > 1:
                together = advantages.reshape(s.steps, -1, s.repeats)
                advantages = (together - together.mean(2, keepdims=True)).reshape(advantages.shape)
            for entry in np.unique(rollout.group.of):
                part = advantages[:, rollout.group.of == entry]
                advantages[:, rollout.group.of == entry] = (part - part.mean()) / (part.std() + 1e-8)
            rollout.advantages = advantages

    def look(self, observations: NDArray[np.float32]) -> Seen:
        """What there is to see in observations (n, width)."""
        return self.actor.trunk.look(torch.from_numpy(observations))

    def values(self, seen: Seen) -> Array:
        """Of states, float64 (n,)."""
        parts = (self.critic.value(seen.at(slice(i, i + 1024))) for i in range(0, len(seen.context), 1024))
        return np.concatenate([values[:, 0].numpy() for values in parts])

    def update(self) -> float:
        """Learns from the rollouts; returns how far the policy moved (KL divergence, nats)."""
        s, moved = self.settings, 0.0
        self.optimiser.param_groups[0]["lr"] = s.rate * (1 - self.share())
        whole = [rollout.parts() for rollout in self.rollouts]
        n = sum(len(parts[0]) for parts in whole)
        n_batches = max(1, n // s.batch)
        for _ in range(s.epochs):
            shuffled = []
            for parts in whole:
                order = torch.from_numpy(self.random.permutation(len(parts[0])))
                shuffled.append([part.index_select(0, order).chunk(n_batches) for part in parts])
            moved = 0.0
            for batch in range(n_batches):
                self.optimiser.zero_grad(set_to_none=False)
                for chunks in shuffled:
                    parts = [chunk[batch] for chunk in chunks if batch < len(chunk)]
                    if parts:
                        loss, kl = self.loss(parts)
                        (loss * (n_batches / n)).backward()  # type: ignore[no-untyped-call]
                        moved += kl / n
                nn.utils.clip_grad_norm_([self.weights], 0.5)
                self.optimiser.step()
            if moved > s.max_kl:
                break
        return moved

    def loss(self, parts: list[Tensor]) -> tuple[Tensor, float]:
        """Summed loss of a part of a minibatch, and the summed estimate of the KL divergence."""
        s, (masks, actions, before, advantages, targets) = self.settings, parts[-5:]
        seen = Seen(*parts[:-5])
        logs = torch.log_softmax(self.actor.score(seen).masked_fill(~masks, LOST), 1)
        change = logs.gather(1, actions) - before
        ratio = change.exp()
        gain = torch.minimum(ratio * advantages, ratio.clamp(1 - s.clip, 1 + s.clip) * advantages).sum()
        gain = gain * (self.done >= s.critic_first)
        loss = 0.5 * (self.critic.value(seen) - targets).square().sum() - gain
        if s.entropy:
            loss = loss + s.entropy * (logs.exp() * logs).sum()
        if s.loyalty:
            rule = torch.log_softmax((-SHARPNESS * seen.work).masked_fill(~masks, LOST), 1)
            loss = loss + s.loyalty * (logs.exp() * (logs - rule)).sum()
        with torch.no_grad():
            return loss, float((ratio - 1 - change).sum())

    def share(self) -> float:
        """How much of the run is done."""
        return min(1.0, max(self.done / self.settings.total, self.seconds / (60 * self.settings.minutes)))

    def iterate(self) -> float:
        """Plays and learns once; returns how far the policy moved."""
        began = time.monotonic()
        self.play()
        self.judge()
        moved = self.update()
        self.done += sum(rollout.actions.size for rollout in self.rollouts)
        self.seconds += time.monotonic() - began
        return moved

    def save(self, out: Path, more: dict[str, Any]) -> None:
        """Writes checkpoint and trained file."""
        held: dict[str, Any] = {name: getattr(self, name).state_dict() for name in LEARNED}
        held |= {"random": self.random.bit_generator.state, "scales": [asdict(scale) for scale in self.scales]}
        held |= {"done": self.done, "seconds": self.seconds, "run": more}
        with _atomic.replacing(out / "checkpoint.pt") as temporary:
            torch.save(held, temporary)
        file.save_router(out / "policy.pt", self.actor, "smdp-ppo", self.done, self.seconds, more)

    def load(self, out: Path, more: dict[str, Any]) -> None:
        """Goes on from a checkpoint; raises a ValueError if that is of another run."""
        held = torch.load(out / "checkpoint.pt", weights_only=True)
        if held["run"] != more:
            raise ValueError(f"--resume: the run in {out} is another one: {held['run']}, asked for is {more}")
        for name in LEARNED:
            getattr(self, name).load_state_dict(held[name])
        self.random.bit_generator.state = held["random"]
        self.scales = [Scale(**scale) for scale in held["scales"]]
        self.done, self.seconds = held["done"], held["seconds"]
