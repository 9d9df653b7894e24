"""Settings: checked once, the same when made again; the action spaces of version 0 are frozen."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from gymnasium import spaces

from kvgym.envs import settings
from kvgym.envs.evict import EvictEnv
from kvgym.envs.joint import JointEnv
from kvgym.envs.route import RouteEnv
from kvgym.sim import EVICTORS, RULES
from tests.envs.helpers import make_form

V0 = (
    *("lru", "lru_node", "random", "rlt", "fifo", "lfu", "mru", "slru_two_hits", "ghost_slru", "wlfu"),
    *("tail_lru", "gdsf", "workload_aware"),
)


def test_rules_of_version_0_are_what_they_were():
    assert settings.V0_RULES == V0
    assert set(V0) <= set(RULES)
    assert EvictEnv(action="rule").action_space == spaces.Discrete(13)
    assert JointEnv().action_space == spaces.MultiDiscrete([4, 13])


def test_a_new_evictor_changes_no_action_space_and_is_asked_for_by_name(monkeypatch):
    monkeypatch.setattr(settings, "RULES", (*RULES, "newest"))
    monkeypatch.setattr(settings, "EVICTORS", ("newest", *EVICTORS))
    for env, space in ((EvictEnv(action="rule"), spaces.Discrete(13)), (JointEnv(), spaces.MultiDiscrete([4, 13]))):
        assert env.action_space == space and env.rules == V0
        assert [settings.EVICTORS[number] for number in env.settings.rule_numbers] == list(V0)
    env = JointEnv(rules=["lru", "newest"])
    assert env.action_space == spaces.MultiDiscrete([4, 2]) and env.settings.rule_numbers == [1, 0]


@pytest.mark.parametrize("kind", [RouteEnv, EvictEnv, JointEnv])
def test_settings_are_frozen_and_the_same_when_made_again(kind):
    env = kind("long-doc", scenario_overrides={"n_workers": 2}, reward="ttft", horizon="truncate")
    again = kind(**vars(env.settings))
    assert again.settings == env.settings and again.scenario is env.scenario
    assert (env.settings.reward, env.settings.scenario_overrides) == ("ttft", None)
    with pytest.raises(FrozenInstanceError):
        env.settings.reward = "e2e"


@pytest.mark.parametrize("form", ["evict", "evict-rule"])
def test_a_mask_does_not_outlive_an_episode_without_a_decision(form):
    env = make_form(form, more={"warmup_requests": 0})
    env.first_share = 0.01  # one request: nothing to evict
    _, info = env.reset(seed=0)
    assert env.never_evicts and info["action_mask"].tolist() == [1] + [0] * (len(info["action_mask"]) - 1)
    _, info = env.reset()
    assert not env.never_evicts
    expected = env.simulator.candidates()["valid"] if form == "evict" else np.ones(len(V0), bool)
    assert env.action_masks().tolist() == expected.tolist() == info["action_mask"].astype(bool).tolist()
