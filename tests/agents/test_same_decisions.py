"""Rules that were made faster decide as they did: SHA-256 of the actions of whole episodes by the slower code.

A rule, or what it sees, that changes on purpose has another hash: say so in CHANGELOG.md.
"""

import pytest

from agents import make_agent
from kvgym.evaluation import play

SHARED_PREFIXES = {
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


LONG_DOCUMENTS_AND_FAILURES = {
    "kthena": "06735bb63c1b37de",
    "aibrix": "21b3f03dec303f78",
    "llmd": "19f8676a4b221556",
    "llmd_agentic": "b3a5aab54097e46a",
    "ray_affinity": "e420406c14ca1c33",
    "skywalker": "721af891e55c2d7f",
    "lbgr": "419233139df06b79",
    "preble": "4fa096d9643243d6",
    "dualmap": "d8bd047bcff024a3",
    "prefixaware": "b983d8e0a98dac91",
    "gorgo": "b66d60832c2fee49",
}


@pytest.mark.parametrize("name", SHARED_PREFIXES)
def test_same_decisions_about_shared_prefixes(name):
    assert actions(name, "gsp-stable", 0, 400).startswith(SHARED_PREFIXES[name])


@pytest.mark.parametrize("name", LONG_DOCUMENTS_AND_FAILURES)
def test_same_decisions_about_long_documents_and_failures(name):
    assert actions(name, "outages", 1, 300).startswith(LONG_DOCUMENTS_AND_FAILURES[name])


def actions(name, scenario, seed, requests):
    shorter = {"episode_requests": requests, "warmup_requests": 50}
    return play(make_agent(name), scenario, seed, overrides=shorter, split="validation").actions_sha256
