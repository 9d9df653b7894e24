"""The cache-aware rule and its prefix tree."""

from random import Random

import numpy as np
import pytest

from agents import make_agent
from agents.routing.prefix_tree import Characters, PrefixTree, runs
from tests.agents.fakes import FakeEnv, started


def plain_tree(n_workers=2, mean=1.0):
    return PrefixTree(n_workers, Characters(mean, 0.0, 1, 0), Random(0))


def path(*spans):
    return [(first, last - first + 1) for first, last in spans]


def test_runs():
    assert runs(np.array([], np.int64)) == []
    assert runs(np.array([3, 4, 5, 9, 10, 2])) == [(3, 3), (9, 2), (2, 1)]


def test_characters_are_additive_seeded_and_near_their_mean():
    characters = Characters(6.0, 3.0, 4, 7)
    assert characters.of(0, 50_000) == characters.of(0, 123) + characters.of(123, 50_000 - 123)
    assert characters.of(0, 50_000) == Characters(6.0, 3.0, 4, 7).of(0, 50_000)
    assert characters.of(0, 50_000) != Characters(6.0, 3.0, 4, 8).of(0, 50_000)
    assert characters.of(0, 50_000) / 50_000 == pytest.approx(24.0, abs=0.1)
    one = [characters.of(page, 1) for page in range(2000)]
    assert np.std(one) == pytest.approx(6.0, rel=0.05)
    assert Characters(6.0, 0.0, 4, 7).of(1000, 10) == 240.0


def test_match_reaches_into_a_node():
    tree = plain_tree()
    tree.insert(path((0, 9)), 1)
    assert tree.match(path((0, 9))) == (10.0, 1)
    assert tree.match(path((0, 3), (20, 29))) == (4.0, 1)
    assert tree.match(path((30, 39))) == (0.0, None)
    assert tree.sizes == [0.0, 10.0]


def test_insert_splits_and_counts_what_is_new():
    tree = plain_tree()
    tree.insert(path((0, 9)), 0)
    tree.insert(path((0, 3), (10, 15)), 1)
    assert tree.sizes == [10.0, 10.0]
    assert tree.match(path((0, 9))) == (10.0, 0)
    assert tree.match(path((0, 3), (10, 15))) == (10.0, 1)
    tree.insert(path((0, 9)), 1)
    assert tree.sizes == [10.0, 16.0]
    # A prompt that ends inside a node, and one that goes on after it.
    tree.insert(path((0, 1)), 0)
    tree.insert(path((0, 9), (16, 19)), 0)
    assert tree.sizes == [14.0, 16.0]
    assert tree.match(path((0, 9), (16, 19))) == (14.0, 0)


def test_the_owner_of_a_node_is_arbitrary_but_fixed():
    owners = []
    for seed in range(200):
        tree = PrefixTree(3, Characters(1.0, 0.0, 1, 0), Random(seed))
        for worker in range(3):
            tree.insert(path((0, 9)), worker)
        owner = tree.match(path((0, 9)))[1]
        # Splitting the node or sending more prompts through it changes nothing.
        tree.insert(path((0, 4), (20, 24)), 2)
        assert tree.match(path((0, 9)))[1] == owner
        assert tree.match(path((0, 4)))[1] == owner
        owners.append(owner)
    assert all(40 < owners.count(worker) < 95 for worker in range(3))


def test_trim_drops_the_oldest_leaves_of_each_worker():
    tree = plain_tree()
    tree.insert(path((0, 3), (10, 13)), 0)
    tree.insert(path((0, 3), (20, 25)), 0)
    tree.insert(path((30, 35)), 0)
    tree.insert(path((0, 3), (10, 13)), 1)
    tree.match(path((30, 35)))
    tree.trim(12)  # worker 0 holds 20: the oldest leaf is 10..13, then 20..25
    assert tree.sizes == [10.0, 8.0]
    assert tree.match(path((0, 3), (20, 25)))[0] == 4.0
    assert tree.match(path((0, 3), (10, 13))) == (8.0, 1)
    assert tree.match(path((30, 35))) == (6.0, 0)
    tree.trim(0)
    assert tree.sizes == [0.0, 0.0]
    assert tree.match(path((0, 3))) == (0.0, None)


def test_trim_reaches_inner_nodes_when_their_leaves_are_gone():
    tree = plain_tree(1)
    tree.insert(path((0, 3), (10, 13)), 0)
    tree.insert(path((0, 3), (20, 25)), 0)
    tree.trim(3)
    assert tree.sizes == [0.0]


def shared(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def brute_match(prompts, pages):
    """Longest common beginning with any prompt."""
    return max(shared(prompt, pages) for prompt in prompts)


def test_random_prompts_agree_with_brute_force():
    random = Random(1)
    tree = plain_tree(2)
    sent = {0: [], 1: []}
    known, next_page = [[]], 0
    for _ in range(300):
        base = random.choice(known)
        kept = base[: random.randint(0, len(base))]
        fresh = random.randint(0 if kept else 1, 6)
        # A page's id stands for all pages before it: a kept part may not go on with the page it already had.
        pages = kept + list(range(next_page, next_page + fresh))
        next_page += fresh
        known.append(pages)
        prompt = runs(np.array(pages, np.int64))
        everything = sent[0] + sent[1]
        expected = brute_match(everything, pages) if everything else 0
        matched, owner = tree.match(prompt)
        assert matched == expected
        if expected:
            assert brute_match(sent[owner], pages) == expected
        worker = random.randrange(2)
        tree.insert(prompt, worker)
        sent[worker].append(pages)
        for w in range(2):
            assert tree.sizes[w] == len({page for p in sent[w] for page in p})


def send(agent, env, pages, prompt=None, mask=None, time=0.0, **workers):
    env.pages = pages
    prompt = len(pages) if prompt is None else prompt
    return agent.act(env.observation(request={"prompt": prompt}, **workers), env.info(time, mask))


def span(first, last):
    return list(range(first, last + 1))


def test_a_match_above_the_threshold_goes_to_the_owner_else_to_the_smallest_tree():
    env = FakeEnv(3)
    agent = started(make_agent("cache_aware", characters_sd=0.0), env)
    assert send(agent, env, span(0, 99)) == 0  # all trees are empty
    assert send(agent, env, span(100, 149)) == 1
    assert send(agent, env, span(0, 50) + span(150, 198)) == 0  # 51 of 100 match
    assert send(agent, env, span(0, 49) + span(200, 249)) == 2  # 50 of 100 do not pass "> 0.5"; tree 2 is empty
    assert send(agent, env, span(100, 149) + span(250, 298)) == 1


def test_tokens_after_the_last_full_page_count():
    env = FakeEnv(2, page_size=16)
    agent = started(make_agent("cache_aware", characters_sd=0.0), env)
    assert send(agent, env, span(0, 5), prompt=100) == 0
    assert send(agent, env, [0], prompt=31) == 0  # 16 of 31 tokens
    assert send(agent, env, [0], prompt=33) == 1  # 16 of 33


def test_characters_make_a_prompt_that_shares_exactly_half_pass_by_luck():
    env = FakeEnv(2)
    agent = started(make_agent("cache_aware"), env)
    group = span(0, 99)
    send(agent, env, group + span(100, 199))
    rates = []
    for k in range(400):
        prompt = runs(np.array(group + span(1000 + 100 * k, 1099 + 100 * k)))
        whole = sum(agent._characters.of(*run) for run in prompt)
        rates.append(agent._characters.of(0, 100) / whole)
    assert np.mean(rates) == pytest.approx(0.5, abs=0.02)
    assert np.std(rates) > 0.005


def test_imbalance_needs_both_thresholds():
    env = FakeEnv(3)
    agent = started(make_agent("cache_aware", characters_sd=0.0), env)
    send(agent, env, span(0, 99))
    assert send(agent, env, span(0, 99), inflight=[32, 0, 5]) == 0  # 32 is not > 32
    assert send(agent, env, span(0, 99), inflight=[33, 0, 5]) == 1
    assert send(agent, env, span(0, 99), inflight=[33, 0, 0], n_sent=[9, 2, 1]) == 2  # equals by requests sent
    relative = started(make_agent("cache_aware", characters_sd=0.0, balance_rel=1.5), env)
    send(relative, env, span(0, 99))
    assert send(relative, env, span(0, 99), inflight=[150, 100, 100]) == 0  # 150 is not > 1.5 x 100
    assert send(relative, env, span(0, 99), inflight=[151, 100, 100]) == 1


def test_the_prompt_is_noted_where_it_went_when_imbalanced():
    env = FakeEnv(2)
    agent = started(make_agent("cache_aware"), env)
    assert send(agent, env, span(0, 99), inflight=[40, 0]) == 1
    assert send(agent, env, span(0, 99)) == 1


def test_the_later_form_sends_misses_to_the_fewest_in_flight():
    env = FakeEnv(3)
    agent = started(make_agent("cache_aware_smg", characters_sd=0.0), env)
    assert send(agent, env, span(0, 99), inflight=[2, 1, 1], n_sent=[0, 8, 7]) == 1  # equals by index alone
    assert send(agent, env, span(0, 30) + span(100, 168), inflight=[0, 1, 1]) == 1  # 31 of 100 > 0.3
    assert send(agent, env, span(0, 99), inflight=[0, 64, 64]) == 1  # not imbalanced: 64 is not > 64
    assert send(agent, env, span(0, 99), inflight=[0, 65, 65], n_sent=[9, 0, 0]) == 0


@pytest.mark.parametrize(("name", "expected"), [("cache_aware_032", 2), ("cache_aware_smg", 1)])
def test_of_several_holders_the_creator_or_the_least_loaded_one(name, expected):
    env = FakeEnv(3)
    agent = started(make_agent(name, characters_sd=0.0), env)
    assert send(agent, env, span(0, 99), inflight=[1, 1, 0]) == 2  # worker 2 creates it
    assert send(agent, env, span(0, 99), inflight=[0, 99, 99]) == 0  # imbalanced
    assert send(agent, env, span(0, 99), inflight=[99, 0, 99]) == 1
    # All three hold it. Worker 1 has the fewest in flight, worker 2 was the first.
    assert send(agent, env, span(0, 99), inflight=[3, 1, 2]) == expected
    # A part that is split off keeps who made it.
    assert send(agent, env, span(0, 59) + span(200, 239), inflight=[3, 1, 2]) == expected
    assert send(agent, env, span(0, 99), inflight=[1, 1, 1]) == (2 if expected == 2 else 0)  # equals by index


def test_later_forms_keep_what_was_sent_to_a_worker_that_is_down():
    env = FakeEnv(3)
    agent = started(make_agent("cache_aware_032", characters_sd=0.0), env)
    assert send(agent, env, span(0, 99), inflight=[1, 0, 1]) == 1
    assert send(agent, env, span(0, 99), mask=[1, 0, 1], inflight=[5, 0, 0]) == 0  # the first that is up
    assert send(agent, env, span(0, 99), inflight=[0, 5, 0]) == 1
    assert agent.tree.sizes == [0.0, 600.0, 0.0]
    least = started(make_agent("cache_aware_smg", characters_sd=0.0), env)
    assert send(least, env, span(0, 99), inflight=[1, 0, 1]) == 1
    assert send(least, env, span(0, 99), inflight=[99, 99, 0]) == 2
    assert send(least, env, span(0, 99), mask=[1, 0, 1], inflight=[0, 0, 5]) == 2  # a holder that is up


def test_a_worker_that_goes_down_is_removed_from_the_tree():
    env = FakeEnv(3)
    agent = started(make_agent("cache_aware"), env)
    assert send(agent, env, span(0, 99)) == 0
    assert send(agent, env, span(100, 199)) == 1
    assert send(agent, env, span(0, 99), mask=[0, 1, 1]) == 2  # no match: the smallest tree of those that are up
    assert agent.tree.sizes[0] == 0.0
    assert send(agent, env, span(0, 99), mask=[0, 1, 1]) == 2  # and stays with the new owner
    assert send(agent, env, span(0, 99)) == 2
    assert send(agent, env, span(200, 299)) == 0  # back with an empty tree


def test_a_worker_can_be_removed_from_a_tree_that_others_share():
    tree = plain_tree()
    tree.insert(path((0, 3), (10, 13)), 0)
    tree.insert(path((0, 3), (20, 25)), 1)
    tree.remove(0)
    assert tree.sizes == [0.0, 10.0]
    assert tree.match(path((0, 3), (10, 13))) == (4.0, 1)
    assert tree.match(path((0, 3), (20, 25))) == (10.0, 1)
    tree.remove(0)
    tree.insert(path((0, 3), (10, 13)), 0)
    assert tree.sizes == [8.0, 10.0]
    tree.trim(8)  # trimming walks up whole branches of what is left
    assert tree.sizes == [8.0, 4.0]
    tree.remove(1)
    tree.remove(0)
    assert tree.match(path((0, 3))) == (0.0, None)


def test_the_tree_is_trimmed_at_multiples_of_the_period():
    env = FakeEnv(2)
    agent = started(make_agent("cache_aware", max_tree_size=50, characters_per_token=1.0, characters_sd=0.0), env)
    assert send(agent, env, span(0, 99), time=59.0) == 0
    assert send(agent, env, span(0, 99), time=59.9) == 0
    assert send(agent, env, span(100, 109), time=60.0) == 0  # both trees are empty again
    assert agent.tree.sizes == [10.0, 0.0]


def test_two_sets_of_constants():
    old, new, struct = (make_agent("cache_aware", variant=name) for name in ("sglang-0.4", "smg-1.13", "smg-struct"))
    assert (old.threshold, old.balance_abs, old.balance_rel, old.max_tree_size) == (0.5, 32, 1.0001, 2**24)
    assert (new.threshold, new.balance_abs, new.balance_rel, new.max_tree_size) == (0.3, 64, 1.5, 67_108_864)
    assert (struct.threshold, struct.balance_abs, struct.balance_rel, struct.max_tree_size) == (0.5, 32, 1.1, 10_000)
