"""Every id in every form: copies go on where the original was, episodes repeat, environments don't disturb others."""

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.envs.helpers import FORMS, digest, go_on, make_form, play, random_actions
from tests.envs.test_episodes import TIGHT

ROOT = Path(__file__).parents[2]
COPIES = {"pickle": lambda env: pickle.loads(pickle.dumps(env)), "deepcopy": copy.deepcopy}


def half(env, policy, n):
    """The first n steps of an episode, or all but one."""
    env.reset(seed=2)
    length = 0
    while not env.step(policy(length))[2]:
        length += 1
    n = min(n, length)
    env.reset(seed=2)
    for t in range(n):
        env.step(policy(t))
    return n


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("scenario", ["gsp-stable", "multi-turn", "sanity"])
@pytest.mark.parametrize("form", FORMS)
def test_a_copy_in_the_middle_goes_on_as_the_original(form, scenario, how):
    env = make_form(form, scenario)
    policy = random_actions(env)
    t = half(env, policy, 20)
    twin, untouched = COPIES[how](env), COPIES[how](env)
    list(go_on(twin, random_actions(env, 1), t))  # does not touch the others
    assert env.action_masks().tolist() == untouched.action_masks().tolist()
    assert digest(go_on(env, policy, t)) == digest(go_on(untouched, policy, t))
    assert env.n_invalid == untouched.n_invalid if form != "route" else True
    assert env.simulator.records().tobytes() == untouched.simulator.records().tobytes()
    assert digest(play(env)) == digest(play(untouched))  # and in the next episode


@pytest.mark.parametrize("form", ["evict-agent", "evict-lbgr"])
def test_a_copied_router_sits_in_the_copy(form):
    env = make_form(form)
    env.reset(seed=0)
    for make in COPIES.values():
        twin = make(env)
        assert twin.adapter.env is twin and twin.adapter.agent.env is twin.adapter.view is not env.adapter.view
        assert twin.adapter.agent is not env.adapter.agent


@pytest.mark.parametrize("form", FORMS)
def test_a_clone_of_the_simulator_is_at_the_same_decision(form):
    """A planner looks ahead on the clone, and the environment goes on untouched."""
    env = make_form(form)
    policy = random_actions(env)
    t = half(env, policy, 20)
    plain = copy.deepcopy(env)
    clone = env.simulator.clone()
    decision = clone.advance()
    assert decision == env.simulator.advance() and decision.time == env.simulator.now
    while decision.kind not in ("DONE", "TRUNCATED"):
        if decision.kind == "ROUTE":
            clone.route(0)
        else:
            clone.evict("mru" if clone.settings.candidates == 0 else 0)
        decision = clone.advance()
    assert digest(go_on(env, policy, t)) == digest(go_on(plain, policy, t))


@pytest.mark.parametrize("scenario", ["gsp-stable", "long-doc"])
@pytest.mark.parametrize("form", FORMS)
def test_an_episode_depends_on_seed_and_number_only(form, scenario):
    env, other = make_form(form, scenario), make_form(form, scenario)
    play(env, seed=99)
    first = [digest(play(env, seed=4)), digest(play(env)), digest(play(env))]
    assert len(set(first)) == 3
    other.reset(seed=4)  # an episode that is given up counts as one
    assert [digest(play(other)), digest(play(other))] == first[1:]
    assert digest(play(env, seed=4)) == first[0]
    assert digest(play(env, seed=8, options={"workload_seed": 4, "policy_seed": 4})) == first[0]


@pytest.mark.parametrize("form", ["evict", "joint-leaf"])
def test_the_drawn_slots_depend_on_the_policy_seed(form):
    env = make_form(form)
    a = play(env, seed=4)
    workload = env.workload.content_hash()
    b = play(env, seed=4, options={"policy_seed": 5})
    assert env.workload.content_hash() == workload
    assert digest(a) != digest(b)


def of_each_form():
    """An episode of each form, and one in which pages are evicted at random."""
    at_random = make_form("route", "gsp-stable", TIGHT, evictor="random")
    return [digest(play(env, seed=6)) for env in (*map(make_form, FORMS), at_random)]


def test_processes_are_bit_equal():
    code = "from tests.envs.test_form_copies import of_each_form; print(of_each_form())"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == repr(of_each_form())


def test_threads_give_what_one_thread_gives():
    def work(form):
        env = make_form(form)
        return [digest(play(env, seed=3)), digest(play(env)), digest(play(env))]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, FORMS))
    assert together == [work(form) for form in FORMS]


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("form", FORMS)
def test_copies_before_the_first_and_after_the_last_step(form, how):
    env = make_form(form, "long-doc")
    assert digest(play(COPIES[how](env), seed=0)) == digest(play(env, seed=0))
    ended = COPIES[how](env)
    assert ended.finished().tolist() == env.finished().tolist()
    with pytest.raises(RuntimeError, match="reset"):
        ended.step(random_actions(env)(0))
    assert digest(play(ended)) == digest(play(env))
