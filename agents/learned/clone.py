"""A network begins where a rule is: it learns the rule's decisions before it learns from rewards.

DAgger (Ross, Gordon and Bagnell 2011, arXiv 1011.0686): in the first round the rule plays, in the later ones what the
network has learned, and the rule is asked what it would do there. All rounds' decisions are learned from, with the
cross entropy. A rule that remembers what it decided itself believes that its advice was taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kvgym import _check
from kvgym.envs.view import View
from kvgym.evaluation import anchors
from kvgym.evaluation.stage import make_env

from .. import make_agent
from .groups import FRONTIER, Entry
from .kernel import Scorer
from .network import fitted
from .ppo import LOST, Learner

Rows = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]]
"""What was seen and allowed, and what the rule did, a row for each decision."""
ROUNDS, EPOCHS, BATCH, RATE = 3, 3, 512, 2e-3


class Lessons:
    """Decisions of a rule in a scenario.

    Args:
        learner: Whose network learns them.
        entry: The scenario.
        rule: Name of an agent, or "frontier": that of the best known pair.

    Raises:
        ValueError: If there is no such agent, or no best known pair.
    """

    def __init__(self, learner: Learner, entry: Entry, rule: str) -> None:
        """Makes rule and environment."""
        args: Any = {}
        if rule == FRONTIER:
            known = anchors.load().get(entry.scenario.name)
            if not known or not known.frontier:
                raise ValueError(f"--imitate: no best known pair of {entry.scenario.name!r}, name a rule")
            rule, args = known.frontier.pair.agent, known.frontier.pair.args
        self.rule, self._shape = make_agent(rule, **args), learner.actor.shape
        self._env = make_env(self.rule, entry.scenario, evictor=entry.evictor, split="train")
        self._seen: list[NDArray[np.float32]] = []
        self._masks: list[NDArray[np.bool_]] = []
        self._actions: list[int] = []

    def play(self, scorer: Scorer | None, n: int, seed: int) -> None:
        """Writes down n decisions of the rule, in episodes from `seed` on; the network's scores play, or the rule."""
        over, layout = True, self._env.layout
        for _ in range(n):
            if over:
                observation, info = self._env.reset(seed=seed)
                self.rule.reset(View(self._env), seed)
                seed += 1
            seen = layout.scaled(observation) if self.rule.observation == "physical" else observation.copy()
            mask, action = info["action_mask"].astype(bool), int(self.rule.act(observation, info))
            self._seen.append(fitted(seen, layout, self._shape))
            self._masks.append(mask)
            self._actions.append(action)
            if scorer:
                action = int(np.where(mask, scorer(self._seen[-1][None], layout.n_workers)[0], LOST).argmax())
            observation, _, terminated, truncated, info = self._env.step(action)
            over = terminated or truncated

    def arrays(self) -> Rows:
        """All that was written down."""
        return np.stack(self._seen), np.stack(self._masks), np.array(self._actions)


def imitate(learner: Learner, rule: str, decisions: int) -> float:
    """Has the actor of a learner learn a rule's decisions.

    Args:
        learner: Whose network it is; its critic and optimiser stay as they are.
        rule: See `Lessons`.
        decisions: In all, of all scenarios and rounds.

    Returns:
        Share of the last round's decisions, before it learned from them, that were the rule's.

    Raises:
        ValueError: If there are too few decisions, or as `Lessons` does.
    """
    each = decisions // (ROUNDS * len(learner.played))
    _check.whole("--imitate-decisions over rounds and scenarios", each, 1)
    lessons = [Lessons(learner, entry, rule) for entry in learner.played]
    optimiser = torch.optim.Adam(learner.actor.parameters(), lr=RATE)
    agreed = float("nan")
    for turn in range(ROUNDS):
        scorer = learner.scorer() if turn else None
        for one in lessons:
            one.play(scorer, each, learner.settings.seed * 10**10 + turn * 10**6)
        data = [one.arrays() for one in lessons]
        if scorer:
            agreed = float(np.mean([_agree(scorer, rows, each) for rows in data]))
        _fit(learner, optimiser, data)
    return agreed


def _agree(scorer: Scorer, rows: Rows, last: int) -> float:
    """Share of the last decisions that a network would have taken, too."""
    seen, masks, actions = rows
    scores = np.where(masks[-last:], scorer(seen[-last:], masks.shape[1]), LOST)
    return float((scores.argmax(1) == actions[-last:]).mean())


def _fit(learner: Learner, optimiser: torch.optim.Optimizer, data: list[Rows]) -> None:
    """Some epochs over all lessons, as many of each scenario in a minibatch."""
    each = BATCH // len(data) + 1
    for _ in range(EPOCHS * len(data[0][0]) // each + 1):
        loss = torch.zeros(())
        for seen, masks, actions in data:
            at = learner.random.integers(len(seen), size=each)
            scores = learner.actor.score(learner.look(seen[at])).masked_fill(~torch.from_numpy(masks[at]), LOST)
            loss = loss + torch.nn.functional.cross_entropy(scores, torch.from_numpy(actions[at])) / len(data)
        optimiser.zero_grad(set_to_none=False)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
