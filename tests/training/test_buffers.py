"""Returns are discounted by request: hand-computed, and against Stable-Baselines3 where both must agree."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sb3_contrib", reason="needs the extra train")

import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer

from agents.learned.buffers import RequestMaskableRolloutBuffer, RequestReplayBuffer, RequestRolloutBuffer

BOX, ACTIONS = spaces.Box(0, 1, (1,)), spaces.Discrete(2)


class Batch:
    """What a buffer wants to know of a vector environment."""

    def __init__(self, n: int) -> None:
        self.arrivals, self.ended, self.envs = np.zeros(n, np.int64), np.zeros(n, bool), ()


def fill(buffer: Any, rewards: Any, values: Any, starts: Any, arrivals: Any, last: Any, done: Any) -> Any:
    n = len(rewards[0])
    buffer.envs = Batch(n)
    buffer.reset()
    for step in range(len(rewards)):
        buffer.envs.arrivals = np.array(arrivals[step])
        buffer.add(
            np.zeros((n, 1)),
            np.zeros((n, 1)),
            np.array(rewards[step], np.float32),
            np.array(starts[step], np.float32),
            torch.tensor(values[step]),
            torch.zeros(n),
        )
    buffer.compute_returns_and_advantage(torch.tensor(last).reshape(-1, 1), np.array(done))
    return buffer


@pytest.mark.parametrize("made", [RequestRolloutBuffer, RequestMaskableRolloutBuffer])
def test_a_return_by_hand(made: Any) -> None:
    """Two decisions in no time, one that 2 requests followed, one that 1 followed; gamma 0.5, lambda 1, values 0."""
    buffer = made(4, BOX, ACTIONS, "cpu", gamma=0.5, gae_lambda=1.0, n_envs=1)
    rewards, arrivals = [[0.0], [0.0], [-8.0], [-4.0]], [[0], [0], [2], [1]]
    fill(buffer, rewards, [[0.0]] * 4, [[1.0], [0.0], [0.0], [0.0]], arrivals, [-16.0], [False])
    # The last: -4 + 0.5 x -16. The third: -8 + 0.5 ** 2 x -12. Those before in no time: the same.
    assert buffer.returns.ravel().tolist() == [-11.0, -11.0, -11.0, -12.0]


def test_lambda_counts_requests_too() -> None:
    """A = r + g V' - V + (g l) A', by hand with gamma 0.5, lambda 0.5, 2 arrivals and then 1."""
    buffer = RequestRolloutBuffer(2, BOX, ACTIONS, "cpu", gamma=0.5, gae_lambda=0.5, n_envs=1)
    fill(buffer, [[1.0], [2.0]], [[4.0], [8.0]], [[1.0], [0.0]], [[2], [1]], [16.0], [False])
    last = 2 + 0.5 * 16 - 8
    first = 1 + 0.25 * 8 - 4 + 0.25 * 0.25 * last
    assert buffer.advantages.ravel().tolist() == [first, last]


def test_an_episode_ends_a_return() -> None:
    buffer = RequestRolloutBuffer(3, BOX, ACTIONS, "cpu", gamma=0.5, gae_lambda=1.0, n_envs=1)
    fill(buffer, [[1.0], [2.0], [4.0]], [[0.0]] * 3, [[1.0], [0.0], [1.0]], [[1], [5], [1]], [100.0], [True])
    assert buffer.returns.ravel().tolist() == [2.0, 2.0, 4.0]


def test_one_arrival_a_step_is_what_sb3_computes() -> None:
    """KVGym/Route-v0: nothing changes where every decision is a request."""
    rng = np.random.default_rng(0)
    shape = (50, 3)
    rewards, values = rng.normal(size=shape).astype(np.float32), rng.normal(size=shape).astype(np.float32)
    starts, last = (rng.random(shape) < 0.1).astype(np.float32), rng.normal(size=3).astype(np.float32)
    done = np.array([True, False, False])
    ours = RequestRolloutBuffer(50, BOX, ACTIONS, "cpu", gamma=0.97, gae_lambda=0.9, n_envs=3)
    fill(ours, rewards, values, starts, np.ones(shape, int), last, done)
    theirs = RolloutBuffer(50, BOX, ACTIONS, "cpu", gamma=0.97, gae_lambda=0.9, n_envs=3)
    fill(theirs, rewards, values, starts, np.ones(shape, int), last, done)
    np.testing.assert_allclose(ours.returns, theirs.returns, rtol=1e-5, atol=1e-5)


def test_more_decisions_in_no_time_change_no_return() -> None:
    """Whoever decides five times where once would do gains and loses nothing."""
    plain = RequestRolloutBuffer(3, BOX, ACTIONS, "cpu", gamma=0.9, gae_lambda=1.0, n_envs=1)
    fill(plain, [[-1.0], [-2.0], [-3.0]], [[0.0]] * 3, [[1.0], [0.0], [0.0]], [[1], [1], [1]], [-5.0], [False])
    slow = RequestRolloutBuffer(7, BOX, ACTIONS, "cpu", gamma=0.9, gae_lambda=1.0, n_envs=1)
    rewards = [[-1.0], [0.0], [0.0], [0.0], [0.0], [-2.0], [-3.0]]
    arrivals = [[1], [0], [0], [0], [0], [1], [1]]
    fill(slow, rewards, [[0.0]] * 7, [[1.0]] + [[0.0]] * 6, arrivals, [-5.0], [False])
    assert slow.returns[0] == pytest.approx(plain.returns[0])
    assert slow.returns[1] == pytest.approx(plain.returns[1])


def test_replayed_steps_come_with_their_discount() -> None:
    buffer = RequestReplayBuffer(10, BOX, ACTIONS, "cpu", n_envs=2, gamma=0.5)
    buffer.envs = Batch(2)  # type: ignore[assignment]
    for step in range(5):
        buffer.envs.arrivals = np.array([0, 3])
        infos: list[dict[str, Any]] = [{}, {}]
        reward = np.array([10.0 + step, 20.0 + step])
        buffer.add(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros(2), reward, np.array([False, step == 4]), infos)
    sample = buffer.sample(200)
    assert sample.discounts is not None
    first = sample.rewards < 20
    assert set(sample.discounts[first].tolist()) == {1.0}
    assert set(sample.discounts[~first].tolist()) == {0.125}
    assert set(sample.dones[sample.rewards == 24.0].tolist()) == {1.0}
    assert float(sample.dones[sample.rewards != 24.0].sum()) == 0.0


def test_an_unknown_credit_is_refused() -> None:
    with pytest.raises(ValueError, match="credit must be one of reward, evictions; got 'luck'"):
        RequestRolloutBuffer(2, BOX, ACTIONS, "cpu", credit="luck")
