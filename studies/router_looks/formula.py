"""The router as a rule: constants fitted to its decisions, and what the rule comes to.

    score = -s ln(1 + (prefill + a miss + b in flight) / (1024 speed ** p)) + c1 x1 + c2 x2 + ..

prefill and miss in tokens, x features as the network sees them (logarithms where they are logarithmic). The likelihood
of the decisions is that of a softmax of the scores. Needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from tabulate import tabulate

from agents.base import Agent, Info, Observation
from agents.learned.features import INFLIGHT_SCALE, MISS_SCALE, PREFILL_SCALE, WORK_SCALE, natural_gains
from agents.learned.router import ShippedRouter
from kvgym.envs.features import N_REQUEST, N_WORKER, WORKER, WORKER_FEATURES
from kvgym.evaluation import anchors, scoring
from kvgym.evaluation.episode import play
from kvgym.evaluation.statistics import Interval
from kvgym.scenarios.library import FAMILIES, family_of

from .watch import OTHER, Written, evictor_of, watch

NAMES = tuple(feature.name for feature in WORKER_FEATURES)
GAINS = natural_gains(WORKER_FEATURES)
EACH = 1000
"""Decisions of each scenario that are fitted to."""


class Constants(NamedTuple):
    """Of the formula.

    Attributes:
        sharpness: s.
        miss: a.
        in_flight: b, tokens.
        speed: p.
        terms: c by the name of the feature.
    """

    sharpness: float
    miss: float
    in_flight: float
    speed: float
    terms: dict[str, float]

    def __str__(self) -> str:
        """The formula with its numbers."""
        more = "".join(f" {value:+.2f} `{name}`" for name, value in self.terms.items())
        work = f"`prefill` + {self.miss:.1f} `miss` + {self.in_flight:.0f} `inflight`"
        return f"-{self.sharpness:.1f} ln(1 + ({work}) / (1024 `speed` ** {self.speed:.2f})){more}"


class Formula(Agent):
    """Routes by the formula.

    Args:
        constants: Of it.
        asked: Of the environment: the view that the network has.
    """

    observation = "scaled"
    draws = False

    def __init__(self, constants: Constants, asked: Mapping[str, Any]) -> None:
        """Keeps them."""
        self.constants, self.env_kwargs = constants, asked

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        blocks = observation[N_REQUEST : N_REQUEST + self.n_workers * N_WORKER].reshape(1, -1, N_WORKER) * GAINS
        scores = score(torch.from_numpy(blocks), *_tensors(self.constants))[0].numpy()
        return int(np.where(info["action_mask"], scores, -np.inf).argmax())


def _tensors(constants: Constants) -> tuple[torch.Tensor, torch.Tensor]:
    logs = torch.log(torch.tensor(constants[:4]))
    return logs, torch.tensor([constants.terms.get(name, 0.0) for name in NAMES])


def score(blocks: torch.Tensor, logs: torch.Tensor, terms: torch.Tensor) -> torch.Tensor:
    """The formula: (n, workers) of blocks (n, workers, features); logarithms of s, a, b, p, and c of all features."""
    sharpness, miss, in_flight, speed = logs.exp()
    prefill, missing, flying = (
        scale * torch.expm1(blocks[:, :, place])
        for scale, place in (
            (PREFILL_SCALE, WORKER.prefill),
            (MISS_SCALE, WORKER.miss),
            (INFLIGHT_SCALE, WORKER.inflight),
        )
    )
    work = (prefill + miss * missing + in_flight * flying) / WORK_SCALE
    scores: torch.Tensor = blocks @ terms - sharpness * torch.log1p(
        work / blocks[:, :, WORKER.speed].clamp(min=1e-3) ** speed
    )
    return scores


def _rows(written: Sequence[Written]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Blocks, masks and actions of some decisions of each episode, with as many workers as the largest has."""
    most = max(one.layout.n_workers for one in written)
    random = np.random.default_rng(0)
    blocks, masks, actions = [], [], []
    for one in written:
        at = random.choice(len(one.seen), min(EACH, len(one.seen)), replace=False)
        n = one.layout.n_workers
        own = np.zeros((len(at), most, N_WORKER), np.float32)
        own[:, :n] = one.seen[at, N_REQUEST : N_REQUEST + n * N_WORKER].reshape(len(at), n, N_WORKER) * GAINS
        mask = np.zeros((len(at), most), bool)
        mask[:, :n] = one.masks[at]
        blocks.append(own)
        masks.append(mask)
        actions.append(one.actions[at])
    found = [torch.from_numpy(np.concatenate(parts)) for parts in (blocks, masks, actions)]
    return found[0], found[1], found[2]


def fit(rows: Any, terms: Sequence[str], steps: int = 250) -> tuple[Constants, float, float]:
    """Constants of the formula with these terms; mean log-likelihood of a decision; share that it decides alike."""
    blocks, masks, actions = rows
    logs = torch.log(torch.tensor([6.0, 6.0, 100.0, 0.25])).requires_grad_()
    linear = torch.zeros(N_WORKER, requires_grad=True)
    used = torch.tensor([float(name in terms) for name in NAMES])
    optimiser = torch.optim.Adam([logs, linear], 0.05)
    for _ in range(steps):
        scores = score(blocks, logs, linear * used).masked_fill(~masks, -1e9)
        loss = torch.nn.functional.cross_entropy(scores, actions)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    sharpness, miss, in_flight, speed = logs.detach().exp().tolist()
    constants = Constants(
        sharpness, miss, in_flight, speed, {name: float(linear.detach()[NAMES.index(name)]) for name in terms}
    )
    return constants, -float(loss.detach()), float((scores.argmax(1) == actions).float().mean())


def formulas(network: str) -> dict[str, tuple[Constants, float]]:
    """Formulas with no term, with the two that say most, and with all; and the share of decisions that are alike."""
    names = [name for name in anchors.ranked() if not FAMILIES[family_of(name)].held_out]
    rows = _rows([watch(network, name, OTHER) for name in names])
    own = {"prefill", "miss", "inflight", "speed"}
    free = [name for name in NAMES if name not in own]
    chosen: list[str] = []
    for _ in range(2):
        chosen.append(
            max((name for name in free if name not in chosen), key=lambda one: fit(rows, [*chosen, one], 60)[1])
        )
    found = {}
    for title, terms in (("four constants", []), ("two more terms", chosen), ("a term of each feature", free)):
        constants, _, alike = fit(rows, terms)
        found[title] = constants, alike
    return found


def scores(network: str, seeds: Sequence[int]) -> str:
    """A table of formulas and their scores on the ranked scenarios: J of the best known pair over theirs."""
    found = formulas(network)
    router = ShippedRouter(network)
    players: dict[str, Any] = {title: Formula(one, router.env_kwargs) for title, (one, _) in found.items()}
    players["the network"] = router
    results = {}
    for name in anchors.ranked():
        known = anchors.load()[name]
        assert known.frontier is not None
        random, frontier = known.on(tuple(seeds), known.random), known.on(tuple(seeds), known.frontier)
        assert random is not None and frontier is not None
        played = {
            title: np.array([play(player, name, seed, evictor=evictor_of(name)).J for seed in seeds])
            for title, player in players.items()
        }
        results[name] = scoring.Results(random, frontier, frontier, played)
    held = [name for name in results if FAMILIES[family_of(name)].held_out]
    parts = [[results[name] for name in results if name not in held], [results[name] for name in held]]
    aggregated = [scoring.aggregate(part) for part in parts]
    rows = [
        [
            title,
            f"{found[title][1]:.0%}" if title in found else "",
            *(_said(part[title].reference) for part in aggregated),
            str(found[title][0]) if title in found else "",
        ]
        for title in players
    ]
    heads = ["", "decides alike", "frontier / J, not held out", "frontier / J, held out", "score of a worker"]
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True)


def _said(found: Interval) -> str:
    ends = "" if np.isnan(found.low) else f" ({found.low:.3f} to {found.high:.3f})"  # few seeds have none
    return f"{found.mean:.3f}{ends}"
