"""ShuffleWorkers: other places, the same cluster."""

import numpy as np
import pytest

from agents import make_agent
from kvgym.envs.features import N_FETCH, N_WORKER
from kvgym.wrappers import RepeatWorkload, ShuffleWorkers, VectorShuffleWorkers
from tests import often
from tests.envs.helpers import FORMS, make, make_form, random_actions
from tests.wrappers.batches import FAULTY, assert_is_what_gymnasium_makes, native


def told(action, order, form):
    """What the environment inside is told."""
    if form.startswith("evict"):
        return action
    if form == "joint":
        return (order[action[0]], action[1])
    return order[action] if action < len(order) else action


def unshuffled(observation, layout, order):
    """The observation in the order of the workers, asked_worker included."""
    out = observation.copy()
    blocks = [("up", N_WORKER), ("fetch", N_FETCH)] if layout.fetches else [("up", N_WORKER)]
    for first, size in blocks:
        start = layout.workers(first).start
        for place, worker in enumerate(order):
            out[start + worker * size :][:size] = observation[start + place * size :][:size]
    if layout.evicts and observation[layout.evict("need_pages")] > 0:
        out[layout.evict("asked_worker")] = order[int(observation[layout.evict("asked_worker")])]
    return out


@pytest.mark.parametrize("more", [{}, FAULTY], ids=["plain", "faulty"])
@pytest.mark.parametrize("form", FORMS)
def test_unshuffling_gives_the_bare_trajectory_bit_for_bit(form, more):
    env, bare = ShuffleWorkers(make_form(form, more=more)), make_form(form, more=more)
    policy = random_actions(env)
    moved = down = 0
    for seed in (0, None, None):
        observation, info = env.reset(seed=seed)
        plain, plain_info = bare.reset(seed=seed)
        order = env.order.tolist()
        moved += order != [0, 1, 2]
        over, t = False, 0
        while not over:
            assert np.array_equal(unshuffled(observation, bare.layout, order), plain)
            mask = info["action_mask"]
            routed = 0 if form.startswith("evict") else 3
            assert mask[:routed].tolist() == plain_info["action_mask"][order[:routed]].tolist()
            assert mask[routed:].tolist() == plain_info["action_mask"][routed:].tolist()
            assert env.action_masks().tolist() == mask.astype(bool).tolist()
            # Actions that are legal: which worker stands for one that is not depends on its number.
            if form == "joint":
                up = np.flatnonzero(mask[:3])
                action = np.array([up[policy(t)[0] % len(up)], policy(t)[1]])
            else:
                action = np.flatnonzero(mask)[policy(t) % mask.sum()]
            down += form in ("route", "joint") and not mask[:3].all()
            observation, reward, over, _, info = env.step(action)
            plain, plain_reward, _, _, plain_info = bare.step(told(action, order, form))
            assert reward == plain_reward and info["dt"] == plain_info["dt"]
            assert np.array_equal(np.array(order)[env.finished()[:, 1].astype(int)], bare.finished()[:, 1])
            t += 1
    assert moved >= 1
    assert (down > 0) == (more is FAULTY and form in ("route", "joint"))
    assert env.unwrapped.n_invalid == 0


def test_orders_are_drawn_anew_and_repeat_with_the_seed():
    def orders(env, seed):
        out = []
        for number in range(30):
            env.reset(seed=seed if number == 0 else None)
            out.append(tuple(env.get_wrapper_attr("order").tolist()))
        return out

    env = ShuffleWorkers(make())
    first = orders(env, 3)
    assert orders(ShuffleWorkers(make()), 3) == first
    assert orders(env, 4) != first
    assert len(set(first)) > 9  # of 24
    assert all(sorted(order) == [0, 1, 2, 3] for order in first)
    assert len(set(orders(ShuffleWorkers(RepeatWorkload(make(), k=30)), 3))) > 9
    assert len(set(orders(RepeatWorkload(ShuffleWorkers(make()), k=30), 3))) > 9


@pytest.mark.parametrize("action", [-1, 4, 1.5, None, True, np.True_])
def test_actions_outside_the_space_are_refused(action):
    env = ShuffleWorkers(make())
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action must be a worker from 0 to 3"):
        env.step(action)


@pytest.mark.parametrize("action", [(True, 0), (0, True), [True, True], (0, 1, 2), (9, 0), 1])
def test_pairs_outside_the_space_are_refused(action):
    env = ShuffleWorkers(make_form("joint"))
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action must be"):
        env.step(action)


def test_a_symmetric_agent_fares_as_well():
    """Ties are broken by place, so single episodes differ; the mean over paired seeds does not."""

    def latency(env, seed):
        agent = make_agent("lpwl")
        observation, info = env.reset(seed=seed)
        agent.reset(env, seed)
        over = False
        while not over:
            observation, _, over, _, info = env.step(agent.act(observation, info))
        return info["episode_metrics"]["J"]

    more = {"recipe_args": {"groups": 16, "prompts_per_group": 12}, "episode_requests": 150}
    shuffled, bare = ShuffleWorkers(make(more=more, observation="physical")), make(more=more, observation="physical")
    ratio = np.log([latency(shuffled, seed) / latency(bare, seed) for seed in range(40)])
    assert abs(ratio.mean()) < 4 * ratio.std() / np.sqrt(40) + 0.01
    assert ratio.std() > 0


@pytest.mark.parametrize(
    ("form", "mode"), often.diagonals(["route", "evict", "joint"], ["NextStep", "SameStep"], share=2)
)
def test_the_vector_form(form, mode):
    assert_is_what_gymnasium_makes(VectorShuffleWorkers, ShuffleWorkers, form, mode)
    assert_is_what_gymnasium_makes(VectorShuffleWorkers, ShuffleWorkers, form, mode, more=FAULTY)


def test_the_vector_form_with_partial_resets():
    envs = VectorShuffleWorkers(native("route", "Disabled", 6))
    envs.reset(seed=0)
    before = envs.orders.copy()
    chosen = np.array([True, False, True, False, True, True])
    envs.reset(options={"reset_mask": chosen})
    assert np.array_equal(envs.orders[~chosen], before[~chosen])
    assert not np.array_equal(envs.orders[chosen], before[chosen])
    with pytest.raises(ValueError, match="actions must be integers"):
        envs.step(np.full(6, 2))


@pytest.mark.parametrize("more", [{}, FAULTY], ids=["plain", "faulty"])
def test_the_masks_of_the_vector_form_are_those_of_the_info(more):
    envs = VectorShuffleWorkers(native("joint-leaf", "SameStep", more=more))
    _, infos = envs.reset(seed=0)
    for _ in range(60):
        assert np.array_equal(envs.action_masks(), infos["action_mask"].astype(bool))
        actions = np.array([np.flatnonzero(mask)[0] for mask in infos["action_mask"]])
        *_, infos = envs.step(actions)
    assert sum(env.n_invalid for env in envs.unwrapped.envs) == 0
    envs.close()
