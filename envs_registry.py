"""The one table of environment ids."""

from __future__ import annotations

import gymnasium

ENVIRONMENTS: dict[str, str] = {
    "KVGym/Route-v0": "kvgym.envs.route:RouteEnv",
    "KVGym/Evict-v0": "kvgym.envs.evict:EvictEnv",
    "KVGym/Joint-v0": "kvgym.envs.joint:JointEnv",
}
VECTOR_ENVIRONMENTS: dict[str, str] = {
    "KVGym/Route-v0": "kvgym.envs.vector_forms:RouteVectorEnv",
    "KVGym/Evict-v0": "kvgym.envs.vector_forms:EvictVectorEnv",
    "KVGym/Joint-v0": "kvgym.envs.vector_forms:JointVectorEnv",
}
"""Id -> entry point, of the single and of the native vector form.

Docs write an id as "kvgym:KVGym/Route-v0", which imports kvgym and so registers it, anywhere.
"""


def register_envs() -> None:
    """Registers every id with Gymnasium; ids that are there already are left alone."""
    for name, entry_point in ENVIRONMENTS.items():
        if name not in gymnasium.registry:
            gymnasium.register(id=name, entry_point=entry_point, vector_entry_point=VECTOR_ENVIRONMENTS[name])
