"""The one table of environment ids.

Docs write an id as "kvgym:KVGym/Route-v0", which imports kvgym and so registers it, anywhere.
"""

from __future__ import annotations

from typing import Any

import gymnasium

ENVIRONMENTS: list[str] = []
"""The ids, in the order in which they are registered below."""


def register(id: str, *, entry_point: str, vector_entry_point: str, **kwargs: Any) -> None:
    """Registers an id with Gymnasium; one that is there already is left alone.

    Args:
        id: The id, with its version.
        entry_point: "module:class" of the single environment.
        vector_entry_point: The same of its native vector form.
        **kwargs: Arguments that the id fixes.
    """
    if id not in ENVIRONMENTS:
        ENVIRONMENTS.append(id)
    if id not in gymnasium.registry:
        gymnasium.register(id=id, entry_point=entry_point, vector_entry_point=vector_entry_point, kwargs=kwargs)


def register_envs() -> None:
    """Registers every id."""
    register(
        "KVGym/Route-v0",
        entry_point="kvgym.envs.route:RouteEnv",
        vector_entry_point="kvgym.envs.route:RouteVectorEnv",
    )
    register(
        "KVGym/Evict-v0",
        entry_point="kvgym.envs.evict:EvictEnv",
        vector_entry_point="kvgym.envs.evict:EvictVectorEnv",
    )
    register(
        "KVGym/Joint-v0",
        entry_point="kvgym.envs.joint:JointEnv",
        vector_entry_point="kvgym.envs.joint:JointVectorEnv",
    )


register_envs()
