"""Agents that do what a ranked one may not; each takes worker 0 for the rest."""

import copy
import gc
import os
import pickle
import sys
import time

import numpy as np

from kvgym.scenarios import get_scenario


class Honest:
    observation = "physical"

    def reset(self, env, seed):
        self.env, self.seed = env.unwrapped, seed

    def act(self, observation, info):
        return 0


class Turns(Honest):
    """In turn, which is better than worker 0."""

    turn = 0

    def act(self, observation, info):
        self.turn += 1
        return self.turn % 2


class WritesTables(Honest):
    def reset(self, env, seed):
        env.unwrapped.simulator.tables["requests"]["output_tokens"][:] = 1


class TakesMemory(Honest):
    def reset(self, env, seed):
        workers = env.unwrapped.simulator.tables["workers"]
        workers["free"] += 3 * workers["kv_pages"]
        workers["kv_pages"] *= 4


class RewritesRecords(Honest):
    def act(self, observation, info):
        progress = self.env.simulator.tables["progress"]
        progress["finish_ps"] = np.where(progress["finish_ps"] > 0, progress["arrived_ps"] + 1000, -1)
        return 0


class Copies(Honest):
    """Tries each worker in a copy."""

    def act(self, observation, info):
        costs = []
        for worker in range(2):
            ahead = copy.deepcopy(self.env)
            costs.append(-ahead.step(worker)[1])
        return int(np.argmin(costs))


class CopiesFlatly(Honest):
    def reset(self, env, seed):
        self.env = copy.copy(env)


class Clones(Honest):
    def act(self, observation, info):
        self.env.simulator.clone()
        return 0


class Pickles(Honest):
    def act(self, observation, info):
        return pickle.loads(pickle.dumps(self.env)).action_space.n - 1


class Steps(Honest):
    def reset(self, env, seed):
        env.step(0)


class ReadsArrivals(Honest):
    def reset(self, env, seed):
        self.lengths = env.unwrapped.workload.requests["output_tokens"]


class ReadsSchedule(Honest):
    """When workers will crash, and which file is played."""

    def reset(self, env, seed):
        self.known = env.unwrapped.scenario.faults, env.unwrapped.scenario.recipe_args


class SetsAttributes(Honest):
    def reset(self, env, seed):
        env.unwrapped.layout = None


class SetsSettings(Honest):
    def reset(self, env, seed):
        env.unwrapped.scenario.episode_requests = 1


class ChangesSettings(Honest):
    """What may be changed is a copy."""

    def reset(self, env, seed):
        super().reset(env, seed)
        for worker in env.scenario.workers:
            worker.clear()
        env.action_space.n = 1
        env.observation_space.low[:] = 9
        object.__setattr__(env.layout, "n_workers", 1)
        env.action_masks()[:] = False


class ReadsTheFuture(Honest):
    """Makes the workload that the episode's seed stands for."""

    def reset(self, env, seed):
        scenario = get_scenario(env.unwrapped.scenario.name)
        self.lengths = scenario.workload(scenario.seeds(seed, "test", 0)[0], "test").requests["output_tokens"]


class CallsUnbound(Honest):
    """A clone by the function, where the method is not there."""

    def reset(self, env, seed):
        from kvgym.sim import Simulator

        self.ahead = Simulator.clone(env)


class WalksMemory(Honest):
    """Looks for environment, simulator or workload among all objects, and in its callers' variables."""

    def act(self, observation, info):
        from kvgym.envs.base import ClusterEnv
        from kvgym.sim import Simulator
        from kvgym.workload import Workload

        found = [value for value in gc.get_objects() if isinstance(value, (ClusterEnv, Simulator, Workload))]
        found += [name for name in frames() if name in ("scenario", "salt", "tables", "workload")]
        assert not found, found
        return 0


def frames():
    frame = sys._getframe()
    while frame is not None:
        yield from frame.f_locals
        frame = frame.f_back


class PatchesStep(Honest):
    """Requests go where fewer run, whatever the action says."""

    def __init__(self):
        from kvgym.envs.route import RouteEnv

        real = RouteEnv.step
        RouteEnv.step = lambda self, _: real(self, int(self.simulator.tables["workers"]["n_running"].argmin()))


class PatchesMetrics(Honest):
    def __init__(self):
        from kvgym.envs.base import ClusterEnv

        real = ClusterEnv.episode_metrics
        ClusterEnv.episode_metrics = lambda self: {**real(self), "J": 1e-3}


class PatchesNumpy(Honest):
    """Halves all sums."""

    def __init__(self):
        real = np.sum
        np.sum = lambda *args, **kwargs: real(*args, **kwargs) / 2


class PatchesMemory(Honest):
    """Four times the KV memory, and the cache that it holds."""

    def __init__(self):
        from dataclasses import replace

        from kvgym.cluster import ClusterSpec
        from kvgym.scenarios import Scenario

        real = Scenario.simulator

        def simulator(self, *args, **kwargs):
            workers = tuple(replace(worker, kv_pages=4 * worker.kv_pages) for worker in self.cluster.workers)
            object.__setattr__(self, "cluster", ClusterSpec(workers))
            return real(self, *args, **kwargs)

        Scenario.simulator = simulator


class PatchesArrivals(Honest):
    """Requests come later, and so wait less."""

    def act(self, observation, info):
        from kvgym.sim import Simulator

        real = Simulator.records

        def records(self):
            rows = real(self)
            rows["arrival"] = rows["finish"] - 1e-3
            return rows

        Simulator.records = records
        return 0


class Asks(Honest):
    """Wants another evictor than the row's."""

    env_kwargs = {"evictor": "belady"}  # noqa: RUF012


class Oracle(Honest):
    """Says that it looks ahead, and does."""

    oracle = True

    def act(self, observation, info):
        if info["time"] < 1.0:
            self.env.simulator.clone()
            copy.deepcopy(self.env)
        return 0


class Hides(Oracle):
    """Says it only when it counts."""

    @property
    def oracle(self):
        return sys._getframe(2).f_code.co_name == "shown"

    def act(self, observation, info):
        self.env.simulator.clone()
        return 0


class Raises(Honest):
    def act(self, observation, info):
        raise KeyError("no such worker")


class Dies(Honest):
    def act(self, observation, info):
        os._exit(3)


class Stalls(Honest):
    def act(self, observation, info):
        time.sleep(60)


class StallsAtReset(Honest):
    def reset(self, env, seed):
        time.sleep(60)


class Floods(Honest):
    """Sends what nobody asked for."""

    def act(self, observation, info):
        for value in gc.get_objects():
            if type(value).__name__ == "Channel":
                value.send(b"X", b"0" * 100)
        return 0


class TellsSeed(Honest):
    """Goes by the seed that it is given: worker 1 if it is that of the episode."""

    def act(self, observation, info):
        return int(self.seed < 32)


class Evicts(Honest):
    environment = "KVGym/Evict-v0"
    env_kwargs = {"candidates": 2}  # noqa: RUF012


class EvictsFromTables(Evicts):
    def act(self, observation, info):
        return int(self.env.simulator.tables["candidates"][0])


class RoutesFromTables(Honest):
    """For the adapter of Evict-v0."""

    def act(self, observation, info):
        return int(self.env.env.simulator.tables["workers"]["n_running"][0]) % 2
