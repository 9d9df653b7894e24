"""The contract of step and reset: what is accepted, what is refused and how, what comes back."""

import numpy as np
import pytest

from kvgym.envs.base import FINISHED_COLUMNS
from kvgym.envs.route import RouteEnv
from kvgym.sim import EVICTORS
from tests.envs.helpers import SMALL, make, play, random_policy, small
from tests.envs.test_observation_cases import small_case
from tests.envs.token_scenarios import make_env

INFO = {"action_mask", "dt", "time", "session"}


def test_step_needs_an_episode():
    env = make()
    with pytest.raises(RuntimeError, match="reset"):
        env.step(0)
    play(env, seed=0)
    with pytest.raises(RuntimeError, match="reset"):
        env.step(0)
    env.reset()
    env.step(0)


@pytest.mark.parametrize("method", ["finished", "prompt_pages", "episode_metrics", "render"])
def test_questions_need_a_reset(method):
    with pytest.raises(RuntimeError, match="reset"):
        getattr(make(render_mode="ansi"), method)()


@pytest.mark.parametrize(
    "action",
    [-1, 4, 10**30, 1.0, np.float32(1), "1", None, [1], np.array([1]), np.array([[0]]), np.int64(-1), True, np.True_],
)
def test_an_action_outside_the_space_is_refused(action):
    env = make()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="from 0 to 3"):
        env.step(action)
    assert not np.isnan(env.step(3)[1])  # nothing has happened


@pytest.mark.parametrize("action", [2, np.int64(2), np.int32(2), np.uint8(2), np.array(2)])
def test_integers_of_every_kind_are_actions(action):
    env = make()
    env.reset(seed=0)
    env.step(action)
    assert env.simulator.records()["worker"][env.scenario.warmup_requests] == 2


@pytest.mark.parametrize("scenario", SMALL)
def test_what_comes_back(scenario):
    env = make(scenario)
    episode = play(env, seed=0)
    for number, (_, reward, terminated, truncated, info) in enumerate(episode):
        last = number == len(episode) - 1
        assert set(info) == (INFO | {"episode_metrics"} if last else INFO)
        assert type(reward) is float and reward <= 0
        assert type(terminated) is bool and type(truncated) is bool
        assert (type(info["dt"]), type(info["time"]), type(info["session"])) == (float, float, int)
        assert info["action_mask"].dtype == np.int8 and set(info["action_mask"].tolist()) <= {0, 1}
        assert info["action_mask"].any() and (scenario == "failover" or info["action_mask"].all())
        assert info["dt"] >= 0
        assert all(type(value) is float for value in info.get("episode_metrics", {}).values())
    assert episode[-1][4]["session"] == -1
    decision = env.simulator.tables["progress"]["decision"]
    counted = env.simulator.records()["request"]
    counted = counted[decision[counted] >= 0]
    played = counted[np.argsort(decision[counted])]
    sessions = env.workload.requests["session"][played].tolist()
    shown = [step[4]["session"] for step in episode[:-1]]
    if scenario == "failover":  # requests that come back are decided about again
        returns = env.simulator.tables["progress"]["returns"][played].sum()
        assert returns > 0 and len(shown) == len(sessions) + returns and set(shown) == set(sessions)
    else:
        assert shown == sessions


def test_masks_are_fresh_each_time():
    env = make()
    masks = [step[4]["action_mask"] for step in play(env, seed=0)]
    masks[0][:] = 0
    assert all(mask.all() for mask in masks[1:])
    assert env.action_masks().dtype == np.bool_ and env.action_masks().all()
    env.action_masks()[:] = False
    assert env.action_masks().all()


def test_finished_rows_are_the_requests_that_ended_since_the_last_decision():
    env = make(more={"warmup_requests": 8, "episode_requests": 30})
    env.reset(seed=1)
    rows, times = [env.finished()], [env.simulator.now]
    done, policy = False, random_policy(4)
    for t in range(30):
        *_, info = env.step(policy(t))
        rows.append(env.finished())
        times.append(info["time"])
    assert done is False and not env._running
    for begin, end, part in zip([-1.0, *times], times, rows, strict=False):
        assert part.shape == (len(part), 8) and part.dtype == np.float64
        assert ((part[:, 4] > begin) & (part[:, 4] <= end)).all()
        assert (np.diff(part[:, 4]) >= 0).all()
    rows = np.concatenate(rows)
    assert sorted(rows[:, 0]) == list(range(-8, 30))
    table = env.simulator.records()[rows[:, 0].astype(int) + 8]  # gsp is in open loop: indices are positions
    for column, name in enumerate(FINISHED_COLUMNS[1:], 1):
        assert rows[:, column].tolist() == table[name].tolist()
    assert (rows[rows[:, 0] >= 0, 1] == [policy(int(t)) for t in rows[rows[:, 0] >= 0, 0]]).all()


def test_finished_is_a_copy_that_may_be_asked_for_again():
    env = make()
    play(env, seed=0)
    rows = env.finished()
    assert len(rows) > 0
    rows[:] = 0
    assert (env.finished() != rows).any()


def test_prompt_pages_are_numbered_by_first_appearance(monkeypatch):
    env = make_env(monkeypatch, small_case())
    env.reset(seed=0)
    assert env.prompt_pages().tolist() == [0, 1] and env.prompt_pages().dtype == np.int64
    env.step(0)
    assert env.prompt_pages().tolist() == [0, 1]  # the last two of ten tokens fill no page
    env.step(0)
    env.step(0)
    assert env.prompt_pages().tolist() == []


@pytest.mark.parametrize("scenario", SMALL)
def test_equal_page_ids_are_equal_prefixes(scenario):
    """Ids are 0, 1, 2, .. as pages appear, the warm-up included, and two prompts share those of their common prefix."""
    env = make(scenario)
    env.reset(seed=0)
    known = set()
    arrived = env.simulator.tables["progress"]["arrived_ps"]
    due = int(env.simulator.tables["clock"]["request"][0])
    for q in np.flatnonzero(arrived >= 0).tolist():
        known |= set(page_ids(env, q)) if q != due else set()
    done = False
    while not done:
        pages = env.prompt_pages().tolist()
        q = int(env.simulator.tables["clock"]["request"][0])
        assert len(pages) == env.workload.requests["prompt_tokens"][q] // env.workload.page_size
        assert pages == sorted(pages)
        new = [page for page in pages if page not in known]
        assert new == list(range(len(known), len(known) + len(new)))
        assert pages[len(pages) - len(new) :] == new  # old ones first: a prefix
        known |= set(pages)
        done = env.step(0)[2]


def page_ids(env, q):
    """Of the full pages of any prompt that has arrived."""
    tables = env.simulator.tables
    request, found = tables["requests"][q], []
    for v in tables["paths"][request["path_start"] :][: request["path_nodes"]].tolist():
        node = tables["nodes"][v]
        pages = range(min(int(node["n_pages"]), int(request["prompt_pages"] - node["start_page"])))
        found += [int(tables["page_ids"][v]) + page for page in pages]
    return found


REFUSALS = [
    ({"scenario": "gps"}, r"scenario must be one of .*trace, .*; got 'gps'"),
    ({"scenario": None}, "scenario must be one of "),
    ({"observation": "raw"}, "observation must be one of scaled, physical"),
    ({"reward": "tpot"}, "reward must be one of e2e, ttft"),
    ({"reward": ""}, "reward must be one of e2e, ttft"),
    ({"evictor": "agent"}, f"evictor must be one of {', '.join(EVICTORS)}; got 'agent'"),
    ({"horizon": "never"}, "horizon must be one of drain, truncate"),
    ({"split": "dev"}, "split must be one of train, validation, test"),
    ({"render_mode": "rgb"}, "render_mode must be one of human, rgb_array, ansi"),
    ({"scenario_overrides": {"rate": 3}}, "scenario_overrides key must be .*recipe_args.*n_workers.*; got 'rate'"),
    ({"scenario_overrides": [("evictor", "lru")]}, "scenario_overrides must be a mapping"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSALS)
def test_arguments_outside_their_list_are_answered_with_it(settings, message):
    with pytest.raises(ValueError, match=message):
        RouteEnv(**settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "options key must be one of workload_seed, policy_seed; got 'seed'"),
        ({"workload_seed": -1}, "workload_seed must be an integer >= 0"),
        ({"policy_seed": 1.5}, "policy_seed must be an integer >= 0"),
        ({"policy_seed": None}, "policy_seed must be an integer >= 0"),
        ({"policy_seed": True}, "policy_seed must be an integer >= 0"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        make().reset(seed=0, options=options)


def test_a_refused_option_leaves_the_series_of_episodes_as_it_is():
    env, other = make(), make()
    for e in (env, other):
        e.reset(seed=0)
    with pytest.raises(ValueError, match="options key"):
        env.reset(options={"speed": 2})
    assert env.reset()[0].tolist() == other.reset()[0].tolist()


def test_overrides_are_not_changed():
    overrides = small("gsp-stable", engine={"max_running": 3}, n_workers=2)
    before = repr(overrides)
    play(RouteEnv(scenario_overrides=overrides), seed=0)
    assert repr(overrides) == before
