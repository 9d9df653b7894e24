"""Agents by name and by file."""

import pytest

from agents import AGENTS, EVICTION_AGENTS, JOINT_AGENTS, make_agent
from kvgym.evaluation.stage import EVICT, JOINT, ROUTE, environment_of

MINE = """
class Mine:
    observation = "scaled"

    def __init__(self, worker=0):
        self.worker = worker

    def reset(self, env, seed):
        pass

    def act(self, observation, info):
        return self.worker

class Half:
    observation = "scaled"

    def act(self, observation, info):
        return 0

class Odd(Mine):
    observation = "raw"

class Evicts(Mine):
    environment = "KVGym/Evict-v0"
    env_kwargs = {"candidates": 4}

class Elsewhere(Mine):
    environment = "KVGym/Cook-v0"

class Greedy(Mine):
    env_kwargs = {"horizon": "truncate"}

thing = 3
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", AGENTS)
def test_every_name_makes_an_agent_of_its_class(name):
    agent = make_agent(name)
    assert type(agent) is AGENTS[name]
    assert agent.observation == "physical"


@pytest.mark.parametrize("name", EVICTION_AGENTS)
def test_eviction_agents_are_made_by_name(name):
    agent = make_agent(name)
    assert type(agent) is EVICTION_AGENTS[name]
    assert environment_of(agent) == EVICT


def test_joint_agents_are_made_of_others(mine):
    pair = make_agent("pair", router=f"{mine}:Mine", evictor="rlt")
    assert (pair.router.worker, type(pair.evictor).__name__) == (0, "Rlt")
    assert environment_of(pair) == environment_of(make_agent("rule_pair", router="lbgr", rule="lfu")) == JOINT


def test_a_pair_with_a_learned_part_is_a_learned_agent(mine):
    both = make_agent("learned:joint")
    assert type(both) is JOINT_AGENTS["pair"] and environment_of(both) == JOINT
    assert both.training_seeds == 1
    assert both.router.trained_on in both.trained_on and both.evictor.trained_on in both.trained_on
    half = make_agent("rule_pair", router="learned:router", rule="lfu")
    assert (half.training_seeds, half.trained_on) == (1, half.router.trained_on)
    assert not hasattr(make_agent("pair", router="lbgr", evictor="rlt"), "training_seeds")


def test_names_do_not_clash():
    assert not set(AGENTS) & set(EVICTION_AGENTS)
    assert not (set(AGENTS) | set(EVICTION_AGENTS)) & set(JOINT_AGENTS)


def test_a_class_that_says_nothing_routes(mine):
    assert environment_of(make_agent(f"{mine}:Mine")) == ROUTE
    assert environment_of(make_agent(f"{mine}:Evicts")) == EVICT


def test_presets_are_defaults_of_their_names():
    assert make_agent("cache_aware").threshold == 0.5
    assert make_agent("cache_aware_03").threshold == 0.3
    assert make_agent("cache_aware_03", threshold=0.4).threshold == 0.4
    assert make_agent("cache_aware_smg").on_miss == "least_loaded"


def test_a_class_of_a_file(mine):
    agent = make_agent(f"{mine}:Mine", worker=2)
    assert (type(agent).__name__, agent.act(None, None)) == ("Mine", 2)


def test_an_unknown_name_lists_those_that_exist():
    with pytest.raises(ValueError, match=r"agent must be one of random, .*lbgr_code, lru, .*, or .*; got 'lbrg'"):
        make_agent("lbrg")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Half", "class Half lacks reset"),
        ("Odd", r"Odd\.observation must be \"scaled\" or \"physical\", got 'raw'"),
        ("Elsewhere", r"Elsewhere\.environment must be one of KVGym/Route-v0, .*got 'KVGym/Cook-v0'"),
        ("Greedy", r"a name in Greedy\.env_kwargs must be one of action, candidates.*; got 'horizon'"),
        ("Other", "has no class 'Other'"),
        ("thing", "has no class 'thing'"),
    ],
)
def test_what_is_wrong_with_a_class_is_said(mine, name, message):
    with pytest.raises(ValueError, match=message):
        make_agent(f"{mine}:{name}")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"there is no file .*none\.py"):
        make_agent(f"{tmp_path}/none.py:Mine")


def test_an_argument_that_a_file_class_does_not_have(mine):
    with pytest.raises(ValueError, match="unexpected keyword argument 'speed'"):
        make_agent(f"{mine}:Mine", speed=1)
