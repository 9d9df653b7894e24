"""A trained policy as a file: weights, and where they come from. Reading one runs no code of its author's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

import kvgym
from kvgym import _atomic

from .network import Actor, Shape

FORMAT = 1


@dataclass(frozen=True)
class Trained:
    """Contents of a file.

    Attributes:
        observation: Form of the observations that the network expects, as an agent declares it.
        actor: The network.
        environment: Id of the environment that it plays.
        env_kwargs: What it asks of that environment, see `agents.base`.
        origin: What it was trained on: algorithm, scenario, overrides, seed, steps, versions.
    """

    observation: ClassVar[str] = "scaled"

    actor: Actor
    environment: str
    env_kwargs: Mapping[str, Any]
    origin: Mapping[str, Any]


def save(path: Path, trained: Trained) -> None:
    """Writes a file; it is there whole or not at all."""
    held = {
        "format": FORMAT,
        "shape": asdict(trained.actor.shape),
        "weights": trained.actor.state_dict(),
        "environment": trained.environment,
        "env_kwargs": dict(trained.env_kwargs),
        "origin": dict(trained.origin),
    }
    with _atomic.replacing(path) as temporary:
        torch.save(held, temporary)


def read(path: Path) -> Trained:
    """Reads a file.

    Raises:
        ValueError: If it is not what `save` writes.
        OSError: If it can't be read.
    """
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises what pickle and zipfile raise
        raise ValueError(f"{path} is not a trained policy: {error}") from error
    if not isinstance(held, dict) or held.get("format") != FORMAT:
        raise ValueError(f"{path} is not a trained policy of format {FORMAT}")
    actor = Actor(Shape(**held["shape"]))
    actor.load_state_dict(held["weights"])
    return Trained(actor.eval(), held["environment"], held["env_kwargs"], held["origin"])


def save_router(path: Path, actor: Actor, algorithm: str, steps: int, seconds: float, more: Mapping[str, Any]) -> None:
    """Writes a router that has learned on one scenario or many; it asks for the view that the run asked for.

    Args:
        path: The file.
        actor: The network.
        algorithm: Which.
        steps: Decisions that it has learned from.
        seconds: Of learning.
        more: What is said of the run besides, "overrides" of its scenarios included.
    """
    done = {"algorithm": algorithm, "steps": steps, "seconds": round(seconds, 1)}
    origin = done | {"scenario_version": 0, "kvgym": kvgym.__version__, **more}
    asked = {"view": more["overrides"]["view"]} if "view" in more["overrides"] else {}
    save(path, Trained(actor, "KVGym/Route-v0", asked, origin))
