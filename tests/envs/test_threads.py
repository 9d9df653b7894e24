"""Every environment is played once, whatever the number of threads; and a batch in many shares plays as in one."""

from collections import Counter

import numpy as np
import pytest

from kvgym.envs.route import RouteEnv, RouteVectorEnv
from kvgym.envs.vector import Threads
from tests.envs.helpers import small


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("n", [3, 64, 1000])
def test_every_environment_is_played_once(n, threads):
    played = Counter()
    team = Threads(n, threads)

    def act(first, end):
        played.update(range(first, end))
        return end - first

    assert team.play(act) == n
    assert played == Counter(range(n))
    team.close()


def test_an_error_reaches_the_caller():
    team = Threads(4, 2)
    with pytest.raises(ZeroDivisionError):
        team.play(lambda first, end: 1 // 0)
    team.close()


def test_many_shares_play_as_one():
    overrides = small("gsp-stable", episode_requests=3, warmup_requests=1)
    batches = [RouteVectorEnv(260, num_threads=threads, scenario_overrides=overrides) for threads in (1, 2)]
    assert [len(batch._threads._shares) for batch in batches] == [1, 4]
    first, second = (batch.reset(seed=5)[0] for batch in batches)
    assert np.array_equal(first, second)
    for _ in range(5):
        actions = batches[0].action_space.sample()
        ours, theirs = (batch.step(actions) for batch in batches)
        assert all(np.array_equal(a, b) for a, b in zip(ours[:4], theirs[:4], strict=True))
    for batch in batches:
        batch.close()


def test_a_training_environment_takes_less_than_a_megabyte():
    env = RouteEnv(scenario_overrides={"episode_requests": 512})
    env.reset(seed=0)
    assert env.simulator.nbytes == sum(table.nbytes for table in env.simulator.tables.values())
    assert 100_000 < env.simulator.nbytes < 1_000_000
