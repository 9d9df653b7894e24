"""The environment that an agent plays."""

from types import SimpleNamespace

import gymnasium as gym
import pytest

from kvgym.envs.evict import EvictEnv
from kvgym.envs.joint import JointEnv
from kvgym.envs.route import RouteEnv
from kvgym.evaluation.stage import ENVIRONMENTS, EVICT, JOINT, ROUTE, env_kwargs_of, environment_of, make_env


def agent(**declared):
    return SimpleNamespace(**{"observation": "physical", **declared})


def test_the_names_are_those_of_the_registry():
    assert set(ENVIRONMENTS) == {name for name in gym.registry if name.startswith("KVGym/")}


@pytest.mark.parametrize(("name", "kind"), [(None, RouteEnv), (ROUTE, RouteEnv), (EVICT, EvictEnv), (JOINT, JointEnv)])
def test_an_agent_plays_what_it_declares(name, kind):
    env = make_env(agent() if name is None else agent(environment=name), "sanity", split="validation")
    assert type(env) is kind
    assert (env.split, env.observation_space.high.max() > 1e30) == ("validation", True)


def test_what_it_asks_for_is_given():
    env = make_env(agent(environment=EVICT, env_kwargs={"candidates": 6, "quantum": 1}), "sanity", router="round_robin")
    assert env.action_space.n == 6
    env = make_env(agent(environment=JOINT, env_kwargs={"rules": ["lru", "lfu"]}), "sanity")
    assert env.action_space.nvec.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("declared", "arguments", "message"),
    [
        ({"environment": "KVGym/Cook-v0"}, {}, r"environment must be one of KVGym/Route-v0"),
        ({"environment": None}, {}, r"environment must be one of KVGym/Route-v0"),
        ({"observation": "raw"}, {}, r"observation must be one of scaled, physical; got 'raw'"),
        ({"env_kwargs": {"split": "train"}}, {}, r"env_kwargs must be one of action, .*; got 'split'"),
        ({"env_kwargs": {"evictor": "belady"}}, {}, r"env_kwargs must be one of action, .*; got 'evictor'"),
        ({"env_kwargs": ["action"]}, {}, r"env_kwargs must be a mapping, got \['action'\]"),
        ({"env_kwargs": {"action": "leaf"}}, {}, r"env_kwargs .* unexpected keyword argument 'action'"),
        ({"environment": EVICT, "env_kwargs": {"candidates": 0}}, {}, "candidates must be an"),
        ({"environment": EVICT}, {"evictor": "lru"}, r"evictor must be None for an agent of KVGym/Evict-v0"),
        ({"environment": JOINT}, {"evictor": "lru"}, r"evictor must be None for an agent of KVGym/Joint-v0"),
        ({"environment": JOINT}, {"router": "random"}, r"router must be None for an agent of KVGym/Joint-v0"),
        ({}, {"router": "random"}, r"router must be None for an agent of KVGym/Route-v0"),
        ({"environment": EVICT}, {"router": "best"}, "router must be one of random"),
    ],
)
def test_what_is_wrong_is_said(declared, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_env(agent(**declared), "sanity", **arguments)


@pytest.mark.parametrize("environment", [ROUTE, JOINT])
def test_a_rule_that_routes_has_its_own_view(environment):
    asks = agent(environment=environment, env_kwargs={"view": "exact"})
    assert make_env(agent(environment=environment), "gsp-stable").scenario.view == "history"
    assert make_env(asks, "gsp-stable").scenario.view == "exact"
    # It goes before what the caller changes, as no caller but the leaderboard's own knows of it.
    assert make_env(asks, "gsp-stable", overrides={"view": "history", "n_workers": 2}).scenario.view == "exact"


def test_a_router_behind_evict_has_the_scenario_s_view_or_is_refused():
    evicts = agent(environment=EVICT)
    with pytest.raises(ValueError, match=r"'agents:dynamo' is made for the view 'exact', the scenario shows 'history'"):
        make_env(evicts, "gsp-stable", router="agents:dynamo")
    make_env(evicts, "gsp-stable", router="agents:dynamo", overrides={"view": "exact"})
    make_env(evicts, "gsp-stable", router="agents:dynamo_scenario")
    with pytest.raises(ValueError, match=r"view is for agents that route, this one plays KVGym/Evict-v0"):
        make_env(agent(environment=EVICT, env_kwargs={"view": "exact"}), "gsp-stable")


def test_classes_declare_too():
    class Mine:
        environment = EVICT
        env_kwargs = {"candidates": 2}  # noqa: RUF012

    assert environment_of(Mine) == environment_of(Mine()) == EVICT
    assert env_kwargs_of(Mine) == {"candidates": 2}
