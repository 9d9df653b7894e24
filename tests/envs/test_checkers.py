"""What Gymnasium and Stable-Baselines3 check, on every registered id and many settings; a warning is a failure."""

import warnings

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env

from envs_registry import ENVIRONMENTS
from kvgym.envs.layout import FORMS as OBSERVATIONS
from kvgym.envs.route import RouteEnv
from kvgym.envs.settings import HORIZONS, REWARDS
from kvgym.scenarios import SPLITS
from kvgym.sim import EVICTORS
from tests import often
from tests.envs.helpers import FORMS, SMALL, make_form, pressed, small
from tests.sim.cases import VIEWS

FEW_PAGES = {"recipe_args": {"lengths": [512, 2048]}, "workers": [{"kv_tokens": 4096, "cost": {"c0": 20.0}}] * 3}
TIGHT = {"scenario_overrides": small("gsp-stable", **FEW_PAGES)}

SCENARIOS = {name: {} for name in SMALL}
# The checkers compare the metrics of an episode of one step, and NaN is unequal to itself: the time per output token.
SCENARIOS["sanity"] = {"recipe_args": {"output_tokens": 2}}

# With little memory: an Evict-v0 without a decision is over after one step, which the checkers allow a real end only.
SETTINGS = (
    [{"scenario": name, "scenario_overrides": small(name, **more)} for name, more in SCENARIOS.items()]
    + [{"observation": form} for form in OBSERVATIONS]
    + [{"reward": reward} for reward in REWARDS]
    + [{"horizon": horizon} for horizon in HORIZONS]
    + [{"split": split} for split in SPLITS]
    + [{"scenario_overrides": pressed("gsp-stable", view=view)} for view in VIEWS]
    + [{"scenario_overrides": pressed("gsp-stable", metrics_period_s=period)} for period in (0.0, 0.05, 3.0)]
    + [{"scenario_overrides": pressed("gsp-stable", output_hint_sigma=0.5)}]
    + [{"scenario_overrides": pressed("gsp-stable", n_workers=n)} for n in (1, 16)]
    + [{"render_mode": mode} for mode in (None, *RouteEnv.metadata["render_modes"])]
)
DEFAULTS = {"scenario": "gsp-stable", "scenario_overrides": pressed("gsp-stable")}


def on_pressed(form, scenario, shown):
    """A form on a scenario with little memory."""
    name, arguments = form
    overrides = pressed(scenario, **SCENARIOS[scenario])
    return name, {"scenario": scenario, "scenario_overrides": overrides, "observation": shown, **arguments}


# All of them in the slow tests; every day a third, in which each form, setting, scenario and observation is.
EVERY = [
    pytest.param(*setting(*case.values), marks=case.marks)
    for setting, cases in (
        (lambda name, setting: (name, {**DEFAULTS, **setting}), often.diagonals(ENVIRONMENTS, SETTINGS)),
        (lambda evictor: ("KVGym/Route-v0", {**DEFAULTS, **TIGHT, "evictor": evictor}), often.diagonals(EVICTORS)),
        (on_pressed, often.diagonals(FORMS.values(), SCENARIOS, OBSERVATIONS)),
    )
    for case in cases
]


@pytest.mark.parametrize(("name", "setting"), EVERY)
def test_gymnasium(name, setting):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(name, **setting).unwrapped)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_gymnasium_with_default_arguments(name):
    check_env(gym.make(name).unwrapped)


@pytest.mark.parametrize(("name", "setting"), EVERY)
def test_stable_baselines3(name, setting):
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason="Stable-Baselines3 is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker.check_env(gym.make(name, **setting).unwrapped, skip_render_check=False)


@pytest.mark.parametrize("form", FORMS)
def test_maskable_algorithms_find_the_masks(form):
    masks = pytest.importorskip("sb3_contrib.common.maskable.utils", reason="sb3-contrib is not installed")
    env = make_form(form)
    env.reset(seed=0)
    assert masks.is_masking_supported(env)
    assert masks.get_action_masks(env).tolist() == env.action_masks().tolist()
