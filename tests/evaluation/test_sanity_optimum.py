"""The simulator against queueing theory: on the sanity scenario the best mean sojourn is known."""

from functools import cache

import numpy as np
import pytest

from kvgym.evaluation import play

SERVICE = np.array([5, 10])  # slots
P = 0.15  # of an arrival at a slot's boundary
REQUESTS = 20_000


def chain(first, size, tolerance=1e-9):
    """Mean sojourn of the policy "the first server where first[w0, w1]", or of the best one where `first` is None.

    The state are the slots of work that an arrival finds, 0 .. size-1 on each server; work beyond is cut off. Relative
    value iteration: h <- T h - (T h)(0, 0) until T h - h is the same in all states, which is the cost per slot.

    Returns:
        Mean sojourn in slots, and where the first server is the better choice.
    """
    work = np.arange(size)
    after = np.maximum(work - 1, 0)  # a slot later, without an arrival

    def then(server):
        grown = np.minimum(work + SERVICE[server] - 1, size - 1)
        return np.ix_(grown, after) if server == 0 else np.ix_(after, grown)

    idle, to_first, to_second = np.ix_(after, after), then(0), then(1)
    sojourn_first = (work + SERVICE[0])[:, None] + 0.0
    sojourn_second = (work + SERVICE[1])[None, :] + 0.0
    h = np.zeros((size, size))
    for _ in range(20_000):
        by_first, by_second = sojourn_first + h[to_first], sojourn_second + h[to_second]
        arrival = np.minimum(by_first, by_second) if first is None else first * by_first + (1 - first) * by_second
        new = P * arrival + (1 - P) * h[idle]
        change = new - h
        h = new - new[0, 0]
        if np.ptp(change) < tolerance:
            return change.mean() / P, by_first <= by_second
    raise AssertionError("value iteration did not converge")


@cache
def best():
    return chain(None, 90)


def shorter_delay(size):
    """Shortest expected delay: work found plus own service; the faster server at equal delays."""
    work = np.arange(size)
    return ((work + SERVICE[0])[:, None] <= (work + SERVICE[1])[None, :]) + 0.0


class Slots:
    """Keeps account of the work that it sent: the servers are deterministic, so the account is exact."""

    observation = "physical"

    def reset(self, env, seed):
        self.free_at = [0, 0]
        self.random = np.random.default_rng(seed)

    def act(self, observation, info):
        now = round(info["time"])
        work = [max(0, free_at - now) for free_at in self.free_at]
        server = self.choose(*work)
        self.free_at[server] = now + work[server] + int(SERVICE[server])
        return server


class Uniform(Slots):
    def choose(self, first, second):
        return int(self.random.integers(2))


class ShortestDelay(Slots):
    def choose(self, first, second):
        return 0 if first + SERVICE[0] <= second + SERVICE[1] else 1


class Best(Slots):
    def choose(self, first, second):
        prefers_first = best()[1]
        last = len(prefers_first) - 1
        return 0 if prefers_first[min(first, last), min(second, last)] else 1


@cache
def costs(policy, n_seeds):
    overrides = {"warmup_requests": 0, "episode_requests": REQUESTS}
    return np.array([play(policy(), "sanity", seed, overrides=overrides).J for seed in range(n_seeds)])


def single_queue(rate, service):
    """Mean sojourn of a slotted queue with Bernoulli arrivals: service, and P s (s - 1) / (2 (1 - P s)) of waiting."""
    return service + rate * service * (service - 1) / (2 * (1 - rate * service))


def test_value_iteration_gives_the_known_figures():
    assert best()[0] == pytest.approx(7.00, abs=0.005)
    assert chain(shorter_delay(90), 90)[0] == pytest.approx(7.38, abs=0.005)


def test_the_cut_does_not_matter():
    assert chain(None, 70)[0] == pytest.approx(best()[0], abs=1e-6)


@pytest.mark.slow
def test_uniform_choice_is_two_queues():
    known = np.mean([single_queue(P / 2, service) for service in SERVICE])
    assert known == pytest.approx(14.85, abs=1e-9)
    # The slower server is at 75 % load: its queue needs more room than those of the better policies.
    assert chain(np.full((260, 260), 0.5), 260, 1e-6)[0] == pytest.approx(known, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "known"),
    [
        (Best, lambda: best()[0]),
        (ShortestDelay, lambda: chain(shorter_delay(90), 90)[0]),
        (Uniform, lambda: np.mean([single_queue(P / 2, service) for service in SERVICE])),
    ],
)
def test_the_simulator_lands_on_the_theory(policy, known):
    played = costs(policy, 16)
    error = played.std(ddof=1) / np.sqrt(len(played))
    assert error < 0.02 * known()
    assert abs(played.mean() - known()) < 4 * error


@pytest.mark.parametrize("n_seeds", [4, pytest.param(16, marks=pytest.mark.slow)])
def test_nobody_beats_the_best_policy(n_seeds):
    for other in (ShortestDelay, Uniform):
        difference = costs(other, n_seeds) - costs(Best, n_seeds)
        assert difference.mean() > 4 * difference.std(ddof=1) / np.sqrt(len(difference))


def test_the_account_is_that_of_the_simulator():
    """Sojourns that follow from the account alone are those that the simulator measured."""
    sojourns = []

    class Noted(ShortestDelay):
        def act(self, observation, info):
            server = super().act(observation, info)
            sojourns.append(self.free_at[server] - round(info["time"]))
            return server

    measured = play(Noted(), "sanity", 0, overrides={"warmup_requests": 0, "episode_requests": 2000}).J
    assert measured == pytest.approx(np.mean(sojourns), rel=1e-12)
