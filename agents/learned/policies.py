"""The networks as policies of Stable-Baselines3 and sb3-contrib, for the `policy` of hyper-parameter files."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from gymnasium import spaces
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import Tensor, nn

from kvgym.envs.layout import Layout

from .network import Actor, Critic, Shape, start


class _ActorCritic(nn.Module):
    """Actor and critic where SB3 looks for the layers between features and heads."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.actor, self.critic = Actor(shape), Critic(shape)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.actor(features), self.critic(features)

    def forward_actor(self, features: Tensor) -> Tensor:
        return self.actor(features)  # type: ignore[no-any-return]

    def forward_critic(self, features: Tensor) -> Tensor:
        return self.critic(features)  # type: ignore[no-any-return]


class Shared:
    """Base of the policies: their shape, from the arguments and from the spaces.

    Args:
        *args: As SB3 gives them: observation space, action space, schedule of the learning rate.
        **kwargs: Fields of `Shape` but for `rules`, which follow from the spaces; the others are of SB3's policy.

    Raises:
        ValueError: If the spaces are not those of an environment with such blocks.
    """

    shape: Shape

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Finds out what there is to see and to score."""
        self._given = {f.name: kwargs.pop(f.name, f.default) for f in fields(Shape) if f.name != "rules"}
        spaces_given = dict(zip(("observation_space", "action_space"), args, strict=False)) | kwargs
        self.shape = _shape(spaces_given["observation_space"], spaces_given["action_space"], self._given)
        super().__init__(*args, **kwargs)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data: dict[str, Any] = super()._get_constructor_parameters()  # type: ignore[misc]  # SB3's, beside this class
        return data | self._given


def blocks(layout: Layout) -> dict[str, Any]:
    """The arguments of a policy that say what observations of a layout consist of."""
    given = {name: getattr(layout, name) for name in ("routes", "evicts", "fetches")}
    return given | {"candidates": layout.n_candidates}


def _shape(observations: spaces.Box, actions: spaces.Space[Any], given: dict[str, Any]) -> Shape:
    n_actions = int(np.sum(actions.nvec)) if isinstance(actions, spaces.MultiDiscrete) else int(actions.n)  # type: ignore[attr-defined]
    shape = Shape(**given)
    n_workers = shape.layout(observations.shape[0]).n_workers
    rules = n_actions - shape.n_scores(n_workers)
    if rules < 0:
        raise ValueError(f"action space {actions} has fewer actions than {given} on {n_workers} workers")
    return replace(shape, rules=rules)


class _OnPolicy(Shared):
    """The part of an actor-critic policy that SB3 and sb3-contrib would build from layers of their own."""

    def _build(self, lr_schedule: Any) -> None:
        networks = _ActorCritic(self.shape)
        start(networks)
        me: Any = self  # mypy knows nothing of the class that stands beside this one
        me.mlp_extractor, me.action_net, me.value_net = networks, nn.Identity(), nn.Identity()
        me.optimizer = me.optimizer_class(me.parameters(), lr=lr_schedule(1), **me.optimizer_kwargs)

    @property
    def trained(self) -> Actor:
        """The network that scores actions."""
        me: Any = self
        return me.mlp_extractor.actor  # type: ignore[no-any-return]


class SharedPolicy(_OnPolicy, ActorCriticPolicy):
    """For PPO and A2C of Stable-Baselines3."""


class SharedMaskablePolicy(_OnPolicy, MaskableActorCriticPolicy):
    """For MaskablePPO of sb3-contrib."""


class SharedQPolicy(Shared, DQNPolicy):
    """For DQN of Stable-Baselines3."""

    def make_q_net(self) -> QNetwork:
        """SB3's network around ours."""
        network = super().make_q_net()
        network.q_net = Actor(self.shape).to(self.device)  # type: ignore[assignment]  # SB3 has a Sequential there
        return network

    @property
    def trained(self) -> Actor:
        """The network that scores actions."""
        return self.q_net.q_net  # type: ignore[return-value]
