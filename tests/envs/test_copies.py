"""Copies go on where the original was; environments do not disturb each other."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from kvgym.sim import EVICTORS
from tests.envs.helpers import SMALL, digest, go_on, make, play, random_policy
from tests.envs.test_episodes import TIGHT

COPIES = {"pickle": lambda env: pickle.loads(pickle.dumps(env)), "deepcopy": copy.deepcopy}


def half(env, policy, n=15):
    env.reset(seed=2)
    for t in range(n):
        env.step(policy(t))


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("scenario", SMALL)
def test_a_copy_in_the_middle_goes_on_as_the_original(scenario, how):
    env = make(scenario)
    policy = random_policy(env.action_space.n)
    half(env, policy)
    twin = COPIES[how](env)
    assert digest(go_on(env, policy, 15)) == digest(go_on(twin, policy, 15))
    assert digest(play(env)) == digest(play(twin))  # and in the next episode


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("evictor", EVICTORS)
def test_copies_with_every_evictor(evictor, how):
    env = make("gsp-stable", TIGHT, evictor=evictor)
    policy = random_policy(3)
    half(env, policy)
    twin = COPIES[how](env)
    other = [digest(go_on(twin, lambda t: 0, 15))]  # does not touch the original
    again = COPIES[how](env)
    assert digest(go_on(env, policy, 15)) == digest(go_on(again, policy, 15))
    assert digest(play(env)) not in other


@pytest.mark.parametrize("how", COPIES)
def test_copies_before_the_first_and_after_the_last_step(how):
    env = make()
    assert digest(play(COPIES[how](env), seed=0)) == digest(play(env, seed=0))
    ended = COPIES[how](env)
    assert ended.finished().tolist() == env.finished().tolist()
    with pytest.raises(RuntimeError, match="reset"):
        ended.step(0)
    assert digest(play(ended)) == digest(play(env))


def test_a_clone_of_the_simulator_is_at_the_same_decision():
    """A planner looks ahead on the clone, then the environment goes on untouched."""
    env = make()
    policy = random_policy(4)
    half(env, policy)
    request = int(env.simulator.tables["clock"]["request"][0])
    clone = env.simulator.clone()
    t = 15
    while (decision := clone.advance()).kind == "ROUTE":
        assert t > 15 or decision.request == request
        clone.route(policy(t))
        t += 1
    assert t == env.scenario.episode_requests
    list(go_on(env, policy, 15))
    assert clone.records().tobytes() == env.simulator.records().tobytes()


def test_two_environments_in_turn_do_not_disturb_each_other():
    alone = digest(play(make(), seed=0)), digest(play(make("gsp", TIGHT, evictor="rlt"), seed=1))
    a, b = make(), make("gsp", TIGHT, evictor="rlt")
    first, second = a.reset(seed=0), b.reset(seed=1)
    played = [[(first[0], 0.0, False, False, first[1])], [(second[0], 0.0, False, False, second[1])]]
    policies = random_policy(4), random_policy(3)
    for t in range(40):
        for env, episode, policy in zip((a, b), played, policies, strict=True):
            if not (episode[-1][2] or episode[-1][3]):
                episode.append(env.step(policy(t)))
    assert (digest(played[0]), digest(played[1])) == alone


def test_threads_give_what_one_thread_gives():
    def work(number):
        env = make("gsp-stable", TIGHT, evictor=EVICTORS[number % len(EVICTORS)])
        return [digest(play(env, seed=number)), *(digest(play(env)) for _ in range(5))]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, range(8)))
    assert together == [work(number) for number in range(8)]
