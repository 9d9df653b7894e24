"""Rules of the simulator and the agents that they are the compiled form of decide the same."""

import pytest

from agents import make_agent
from kvgym.evaluation.stage import make_env
from tests.envs.helpers import SMALL

RULES = {"lmetric": "lmetric", "least_prefill": "lpwl_miss8", "least_prefill_aged": "lpwl_aged"}
# Arrivals are far enough apart that some matches are older than 30 s.
SLOW = {"recipe_args": {"groups": 8, "prompts_per_group": 6, "rate": 0.3}}
SCENARIOS = {
    "gsp-stable": {},
    "multi-turn": {},
    "mixed-fleet": {"view": "history"},
    "failover": {},
    "gsp": SLOW,
}


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_decides_as_its_agent_does(rule, scenario):
    # A warm-up that takes no turns: the agents count theirs from their own first decision on.
    overrides = {**SMALL[scenario], "warmup_router": "least_loaded", **SCENARIOS[scenario]}
    agent = make_agent(RULES[rule])
    env = make_env(agent, scenario, overrides=overrides, split="train")
    observation, info = env.reset(seed=3)
    agent.reset(env, 3)
    over = False
    while not over:
        observation, _, over, _, info = env.step(agent.act(observation, info))
    simulator = env.scenario.simulator(router=rule)
    env._start(simulator, 0, (3, 3))
    simulator.run()
    assert simulator.records().tobytes() == env.simulator.records().tobytes()
