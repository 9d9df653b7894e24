"""Agents that do what a ranked one may not; each takes worker 0 for the rest."""

import copy
import gc
import pickle
import sys

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


class WalksMemory(Honest):
    """Looks for the simulator among all objects."""

    def reset(self, env, seed):
        (self.simulator,) = [value for value in gc.get_objects() if type(value).__name__ == "Simulator"][-1:]
        self.simulator.tables["requests"]["output_tokens"][:] = 1


class WalksWithoutAsking(Honest):
    """Takes what leads to memory before anybody listens: the listener is told at the call, so this does not help."""

    look = staticmethod(gc.get_referents)

    def reset(self, env, seed):
        self.look(env)


class WalksFrames(Honest):
    """Looks for the environment among the variables of its callers."""

    def reset(self, env, seed):
        frame, self.found = sys._getframe(), []
        while frame is not None:
            self.found += [value for value in frame.f_locals.values() if hasattr(type(value), "simulator")]
            self.found += [v for v in frame.f_locals.values() if "simulator" in getattr(v, "__dict__", ())]
            frame = frame.f_back
        for env in self.found:
            env.simulator.tables["requests"]["output_tokens"][:] = 1


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


class PatchesEvaluation(Honest):
    """Another scenario is played, and what is written down is made up."""

    def __init__(self):
        from kvgym.evaluation import episode

        real = episode.course
        episode.course = lambda env, metrics: real(env, {**metrics, "J": 1e-3})


class PatchesChecks(Honest):
    """Asks for what it may not ask for, with the checks of that gone: memory is managed by an oracle."""

    def __init__(self):
        from kvgym.evaluation import episode, stage

        for module in (episode, stage):
            module.env_kwargs_of = lambda agent: dict(agent.env_kwargs)
        real = episode.make_env
        episode.make_env = lambda agent, scenario, **rest: real(agent, scenario, **{**rest, "evictor": None})
        self.env_kwargs = {"evictor": "belady"}


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
