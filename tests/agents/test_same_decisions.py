"""Rules that were made faster decide as they did: SHA-256 of the actions of whole episodes by the slower code.

A rule, or what it sees, that changes on purpose has another hash: say so in CHANGELOG.md.
"""

import pytest

from agents import make_agent
from kvgym.evaluation import play

ACTIONS = {
    "skywalker": "c0e59294211fb75d",
    "dualmap": "0e9e6970270b4050",
    "cache_aware_smg": "92d4640570354542",
    "prefixaware": "5c583007e46c71c5",
    "aibrix": "10108d97cdfb2649",
    "preble": "a5b627ba2fb8314f",
    "ray_affinity": "ef5cd24b84da06ab",
    "kthena": "5717528a77f5c428",
    "llmd": "af7952ae2c5e08ca",
    "llmd_agentic": "82663dc40af39ea3",
    "lbgr": "33c26ee2d2f2368b",
    "lbgr_code": "d0c3b4be25dfb26d",
    "chwbl": "40c693b8091efe18",
}


@pytest.mark.parametrize("name", ACTIONS)
def test_same_decisions(name):
    shorter = {"episode_requests": 400, "warmup_requests": 50}
    episode = play(make_agent(name), "gsp-stable", 0, overrides=shorter, split="validation")
    assert episode.actions_sha256.startswith(ACTIONS[name])
