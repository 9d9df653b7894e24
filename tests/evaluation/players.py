"""Agents for tests."""

import time


class First:
    """Always worker 0."""

    observation = "physical"

    def reset(self, env, seed):
        self.env = env.unwrapped

    def act(self, observation, info):
        return 0


class Turns(First):
    """Workers in turn."""

    def reset(self, env, seed):
        super().reset(env, seed)
        self.turn = -1

    def act(self, observation, info):
        self.turn = (self.turn + 1) % len(info["action_mask"])
        return self.turn


class Slow(First):
    def act(self, observation, info):
        time.sleep(2e-4)
        return 0


class Says(First):
    """Returns whatever it was given."""

    def __init__(self, answer):
        self.answer = answer

    def act(self, observation, info):
        return self.answer


class Knows(Turns):
    """Says that it knows the future."""

    oracle = True


class Oldest(First):
    """Evicts the leaf in one slot."""

    environment = "KVGym/Evict-v0"
    env_kwargs = {"candidates": 2}  # noqa: RUF012

    def __init__(self, slot=0):
        self.slot = slot

    def act(self, observation, info):
        return self.slot
