"""Agents by name and by file."""

import pytest

from agents import AGENTS, make_agent

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


def test_presets_are_defaults_of_their_names():
    assert make_agent("cache_aware").threshold == 0.5
    assert make_agent("cache_aware_03").threshold == 0.3
    assert make_agent("cache_aware_03", threshold=0.4).threshold == 0.4
    assert make_agent("cache_aware_smg").on_miss == "least_loaded"


def test_a_class_of_a_file(mine):
    agent = make_agent(f"{mine}:Mine", worker=2)
    assert (type(agent).__name__, agent.act(None, None)) == ("Mine", 2)


def test_an_unknown_name_lists_those_that_exist():
    with pytest.raises(ValueError, match=r"agent must be one of random, .*lbgr_code, or .*; got 'lbrg'"):
        make_agent("lbrg")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Half", "class Half lacks reset"),
        ("Odd", r"Odd\.observation must be \"scaled\" or \"physical\", got 'raw'"),
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
