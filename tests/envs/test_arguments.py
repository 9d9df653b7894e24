"""Arguments of Evict-v0 and Joint-v0 that are refused: the message names argument, value and what is allowed."""

import re

import numpy as np
import pytest

from kvgym.envs.evict import EvictEnv
from kvgym.envs.joint import JointEnv
from kvgym.sim import ROUTERS, RULES
from tests.envs.helpers import FORMS, make_form, play

NAMES = ", ".join(RULES)
CANDIDATES = [
    (0, "candidates must be an integer >= 2, got 0"),
    (-2, "candidates must be an integer >= 2, got -2"),
    (5, "candidates must be an even number >= 2, got 5"),
    (4.0, "candidates must be an integer >= 2, got 4.0"),
    (True, "candidates must be an integer >= 2, got True"),
    (None, "candidates must be an integer >= 2, got None"),
    ("16", "candidates must be an integer >= 2, got '16'"),
]
QUANTA = [(q, f'quantum must be "leaf" or 1, got {q!r}') for q in (0, 2, -1, True, "page", None)]
RULE_LISTS = [
    ("lru", "rules must be a list of two or more different evictors, got 'lru'"),
    ({"lru", "rlt"}, "rules must be a list of two or more different evictors, got {"),
    (7, "rules must be a list of two or more different evictors, got 7"),
    ([], "rules must be a list of two or more different evictors, got []"),
    (["rlt"], "rules must be a list of two or more different evictors, got ['rlt']"),
    (["rlt", "lru", "rlt"], "rules must be a list of two or more different evictors, got ['rlt', 'lru', 'rlt']"),
    (["rlt", "lur"], f"rules must be one of {NAMES}; got 'lur'"),
    (["rlt", "belady"], f"rules must be one of {NAMES}; got 'belady'"),
    (["rlt", "rlt_code"], f"rules must be one of {NAMES}; got 'rlt_code'"),
    (["rlt", ["lru"]], f"rules must be one of {NAMES}; got ['lru']"),
]
ROUTER = f"router must be one of {', '.join(ROUTERS[1:])}; got "
MODULE = 'router must be "module:name" with a make_agent in the module, got '
ROUTER_NAMES = [
    ("fastest", f"{ROUTER}'fastest'; or \"module:name\" of an agent"),
    ("agent", f"{ROUTER}'agent'; or \"module:name\""),
    (None, f"{ROUTER}None; or"),
    (["agents:lbgr"], f"{ROUTER}['agents:lbgr']; or"),
    ("nowhere:lbgr", f"{MODULE}'nowhere:lbgr': No module named 'nowhere'"),
    ("json:lbgr", f"{MODULE}'json:lbgr': module 'json' has no attribute 'make_agent'"),
    (":lbgr", f"{MODULE}':lbgr'"),
    ("agents:lbrg", "agent must be one of random, "),
    ("agents:", "agent must be one of random, "),
    ("tests.envs.spy:raw", "observation must be one of scaled, physical; got 'raw'"),
]


@pytest.mark.parametrize("make", [EvictEnv, JointEnv])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *(("candidates", *case) for case in CANDIDATES),
        *(("quantum", *case) for case in QUANTA),
        *(("rules", *case) for case in RULE_LISTS),
        ("action", "leaves", "action must be one of "),
        ("action", None, "action must be one of "),
        ("observation", "raw", "observation must be one of scaled, physical; got 'raw'"),
        ("reward", "tpot", "reward must be one of e2e, ttft, slo; got 'tpot'"),
        ("horizon", "never", "horizon must be one of drain, truncate; got 'never'"),
        ("split", "dev", "split must be one of train, validation, test, all; got 'dev'"),
        ("render_mode", "rgb", "render_mode must be one of human, rgb_array, ansi; got 'rgb'"),
        ("scenario", "gps", "scenario must be one of "),
    ],
)
def test_refused(make, name, value, message):
    form = {"candidates": "leaf", "quantum": "leaf", "rules": "rule"}  # of which an argument is
    settings = {"action": form[name]} if name in form else {}
    with pytest.raises(ValueError, match=re.escape(message)):
        make(**{**settings, name: value})


@pytest.mark.parametrize("make", [EvictEnv, JointEnv])
@pytest.mark.parametrize(
    ("action", "name", "value"),
    [("leaf", "rules", ["lru", "rlt"]), ("leaf", "rules", []), ("rule", "candidates", 4), ("rule", "quantum", 1)],
)
def test_what_the_form_ignores_is_refused(make, action, name, value):
    other = "rule" if action == "leaf" else "leaf"
    message = f'{name} is for action="{other}", got {value!r} with action="{action}"'
    with pytest.raises(ValueError, match=re.escape(message)):
        make(action=action, **{name: value})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("yes", [True, False, np.True_])
def test_a_truth_value_is_no_action(form, yes):
    env = make_form(form)
    env.reset(seed=0)
    for action in [(yes, 0), [0, yes]] if form == "joint" else [yes]:
        with pytest.raises(ValueError, match="from 0 to "):
            env.step(action)


@pytest.mark.parametrize(("router", "message"), ROUTER_NAMES)
def test_refused_routers(router, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        EvictEnv(router=router)


@pytest.mark.parametrize("evictor", ["rlt_code", "belady"])
def test_the_evictor_of_the_warmup_can_take_turns(evictor):
    """In rule form the scenario's evictor is the warm-up's; in leaf form it is not asked for."""
    message = f"the evictor of the scenario, which plays the warm-up must be one of {NAMES}; got '{evictor}'"
    with pytest.raises(ValueError, match=re.escape(message)):
        JointEnv(scenario_overrides={"evictor": evictor})
    assert len(play(make_form("joint-leaf", more={"evictor": evictor}), seed=0)) > 1
    assert len(play(make_form("evict", more={"evictor": evictor}), seed=0)) > 1


@pytest.mark.parametrize("form", FORMS)
def test_evictor_and_router_belong_to_those_who_do_not_decide(form):
    for name in ("evictor", "router"):
        if (name, form.split("-")[0]) not in (("evictor", "route"), ("router", "evict")):
            with pytest.raises(TypeError, match=name):
                make_form(form, **{name: "lru"})


def test_a_router_that_names_no_worker():
    env = make_form("evict", more={"warmup_requests": 0}, router="tests.envs.spy:lost")
    with pytest.raises(ValueError, match="the router must choose a worker from 0 to 2, it chose 99"):
        env.reset(seed=0)


@pytest.mark.parametrize("router", ROUTERS[1:])
def test_rules_of_the_simulator_route(router):
    env = make_form("evict", router=router)
    play(env, seed=0)
    workers = env.simulator.records()["worker"][env.scenario.warmup_requests :].tolist()
    assert router != "round_robin" or workers == [i % 3 for i in range(len(workers))]


def test_a_file_of_ones_own_agent(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "class Last:\n    observation = 'scaled'\n    def reset(self, env, seed): pass\n"
        "    def act(self, observation, info): return len(info['action_mask']) - 1\n"
    )
    env = make_form("evict", router=f"agents:{file}:Last")
    play(env, seed=0)
    assert set(env.simulator.records()["worker"][8:]) == {2}
