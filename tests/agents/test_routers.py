"""Routers of production systems and papers, against decisions computed by hand; each case names the rule's branch."""

from random import Random

import numpy as np
import pytest

from agents import make_agent
from agents.routing import prompt_index
from agents.routing.aibrix import v100_prefill_s
from agents.routing.consistent_hash import Ring
from agents.routing.gorgo import WeightSearch
from agents.routing.prompt_index import PromptIndex
from kvgym.cluster import ClusterSpec, IterationCost, WorkerSpec
from kvgym.sim.base.tables import PROGRESS, REQUEST
from tests.agents.fakes import FakeEnv, done, started


def ask(agent, env, pages=(), *, prompt=None, mask=None, time=0.0, request=None, **workers):
    """The agent's choice for a prompt of these pages."""
    env.pages = list(pages)
    tokens = env.scenario.engine.page_size * len(env.pages) or 100
    request = {"prompt": tokens if prompt is None else prompt, **(request or {})}
    return agent.act(env.observation(request=request, **workers), env.info(time, mask))


def index(env, *args, **kwargs):
    made = PromptIndex(env, *args, **kwargs)

    def look_up(pages, add=None):
        env.pages = list(pages)
        matched = made.look_up()
        if add is not None:
            made.add(add)
        return matched.tolist()

    return made, look_up


def test_index_counts_whole_blocks_and_the_end_of_a_prompt():
    _, look_up = index(FakeEnv(2), 4)
    assert look_up(range(10), add=0) == [0, 0]
    assert look_up(range(10)) == [10, 0]  # blocks 0..3, 4..7 and the end 8..9
    assert look_up(range(9)) == [8, 0]  # another end
    assert look_up([*range(6), 20, 21]) == [4, 0]
    assert look_up(range(3)) == [0, 0]
    assert look_up([]) == [0, 0]


def test_index_forgets_the_oldest_blocks_of_a_worker_from_either_end():
    made, look_up = index(FakeEnv(2), 1, [6, 6])
    look_up(range(4), add=0)
    look_up(range(10, 12), add=0)
    look_up(range(4), add=1)
    look_up(range(20, 22), add=0)  # two more than fit: pages 0 and 1 of worker 0
    assert made.sizes.tolist() == [6, 4]
    assert look_up(range(4)) == [0, 4]  # what is left of it is of no use
    made, look_up = index(FakeEnv(2), 1, [6, 6], ends_first=True)
    look_up(range(4), add=0)
    look_up(range(10, 12), add=0)
    look_up(range(20, 22), add=0)
    assert look_up(range(4)) == [2, 0]
    look_up(range(2), add=0)
    look_up(range(30, 32), add=0)  # 10 and 11 are older than the touched 0 and 1
    assert (look_up(range(4)), look_up(range(10, 12))) == ([2, 0], [0, 0])


def test_index_shared_by_all_workers_and_without_one_that_is_gone():
    made, look_up = index(FakeEnv(2), 1, 5)
    look_up(range(3), add=0)
    look_up(range(3), add=1)  # the same blocks
    look_up(range(10, 12), add=1)
    assert look_up(range(3)) == [3, 3]
    look_up(range(20, 21), add=0)  # page 0 is gone for both
    assert look_up(range(3)) == [0, 0]
    assert made.sizes.tolist() == [3, 4]
    for capacities in (None, [9, 9], 9):
        env = FakeEnv(2)
        made, look_up = index(env, 1, capacities)
        look_up(range(3), add=0)
        look_up(range(3), add=1)
        assert made.look_up([0]).tolist() == [0, 3]
        assert look_up(range(3), add=0) == [0, 3]
        assert look_up(range(3)) == [3, 3]


@pytest.mark.parametrize("capacities", [None, [7, 7, 7], 11, [60, 60, 60]])
@pytest.mark.parametrize("ends_first", [False, True])
def test_index_is_what_dictionaries_by_recency_are(capacities, ends_first, monkeypatch):
    monkeypatch.setattr(prompt_index, "_SHORTEST_LOG", 8)  # full every few sends
    rng = np.random.default_rng(3)
    made, look_up = index(FakeEnv(3), 1, capacities, ends_first=ends_first)
    shared = isinstance(capacities, int)
    held = [{} for _ in range(3)]  # block -> None, the oldest first
    last = {}  # the same for all
    for step in range(300):
        group = int(rng.integers(4))
        pages = [*range(100 * group, 100 * group + int(rng.integers(1, 5))), *range(1000 + 5 * step, 1001 + 5 * step)]
        depths = [next((d for d, page in enumerate(pages) if page not in blocks), len(pages)) for blocks in held]
        worker = int(rng.integers(3))
        assert look_up(pages, add=worker) == depths
        recency, limit = (last, capacities) if shared else (held[worker], capacities and capacities[worker])
        for page in reversed(pages) if ends_first else pages:
            held[worker].pop(page, None)
            held[worker][page] = None
            recency.pop(page, None)
            recency[page] = None
        while limit is not None and len(recency) > limit:
            oldest = next(iter(recency))
            recency.pop(oldest)
            for blocks in held if shared else ():
                blocks.pop(oldest, None)
        assert made.sizes.tolist() == [len(blocks) for blocks in held]


def test_llmd_bounds_its_index_by_the_workers_memory_and_counts_the_last_block():
    env = FakeEnv(2, page_size=16, kv_pages=4)
    agent = started(make_agent("llmd", queue=0, kv=0), env)
    first = ask(agent, env, range(3))
    assert agent.matched(env.observation(request={"prompt": 48}), [])[first] == 1.0
    assert agent.matched(env.observation(request={"prompt": 49}), [])[first] == 0.75  # 3 of ceil(49 / 16) blocks
    agent.index.add(first)
    env.pages = [10, 11]
    agent.index.look_up()
    agent.index.add(first)  # 5 blocks, 4 fit: the first block of the first prompt goes
    env.pages = [0, 1, 2]
    assert agent.matched(env.observation(request={"prompt": 48}), []).tolist() == [0.0, 0.0]
    assert ask(agent, env, [10, 11], mask=[1, 1]) == first
    # No more than 256 blocks are looked at.
    long = started(make_agent("llmd", queue=0, kv=0), FakeEnv(2, page_size=16, kv_pages=1000))
    long.env.pages = list(range(300))
    long.index.look_up()
    long.index.add(0)
    assert long.matched(env.observation(request={"prompt": 4800}), []).tolist() == [1.0, 0.0]
    assert long.index.sizes[0] == 256


def test_llmd_agentic_is_loyal_to_those_with_most_of_the_prompt_and_counts_tokens():
    env = FakeEnv(2, page_size=16)
    agent = started(make_agent("llmd_agentic", explore=0.0), env)
    first = ask(agent, env, range(10))
    assert ask(agent, env, range(20, 22)) == 1 - first  # nobody has it: fewest tokens in flight
    assert agent.tokens[first] == 2.5 * 160
    assert ask(agent, env, range(8)) == first  # all of it, though more is in flight there
    assert ask(agent, env, [*range(7), 30, 31]) == 1 - first  # 7 of 9 blocks are less than 0.8
    assert ask(agent, env, range(8), mask=[int(first != 0), int(first != 1)]) == 1 - first
    env.done = [done(1, 1 - first, 0.0, 1.0)]
    ask(agent, env, range(8))
    assert agent.tokens.tolist()[first] == 0.0  # it was down
    always = started(make_agent("llmd_agentic", explore=1.0), env)
    first = ask(always, env, range(10))
    assert ask(always, env, range(10)) == 1 - first


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"queued": [1, 0], "running": [0, 5]}, 0),  # 4 < 5
        ({"queued": [1, 0], "running": [1, 5]}, 0),  # 5 = 5
        ({"queued": [2, 0], "running": [0, 5]}, 1),
    ],
)
def test_vllm_dp_weighs_those_that_wait(state, expected):
    env = FakeEnv(2)
    assert ask(started(make_agent("vllm_dp"), env), env, **state) == expected


def test_vllm_dp_counts_its_own_sends_until_the_next_snapshot():
    env = FakeEnv(2)
    agent = started(make_agent("vllm_dp"), env)
    chosen = [ask(agent, env, time=1.0 + t, age=[0.01 + t] * 2, running=[0, 3]) for t in (0.0, 0.01, 0.02)]
    assert chosen == [0, 1, 0]  # 0 | 4 against 3 | 4 against 7
    assert ask(agent, env, time=1.1, age=[0.005] * 2, running=[0, 3]) == 0  # a new snapshot
    assert [ask(agent, env, time=2.0, running=[0, 3]) for _ in range(2)] == [0, 0]  # always current


def test_skywalker_pushes_where_nobody_waits():
    env = FakeEnv(3)
    agent = started(make_agent("skywalker"), env)
    assert ask(agent, env, range(10), inflight=[2, 1, 1]) == 1
    assert ask(agent, env, range(10), inflight=[0, 9, 0]) == 1  # the match
    assert ask(agent, env, range(10), queued=[0, 1, 0], inflight=[3, 9, 2]) == 2  # nobody waits at 0 and 2
    assert ask(agent, env, range(5), queued=[0, 0, 0], inflight=[0, 5, 4]) == 2  # 1 and 2 have it
    assert ask(agent, env, range(10), queued=[3, 2, 4]) == 1  # somebody waits everywhere: the shortest queue


@pytest.mark.parametrize(("name", "full"), [("chwbl", "next"), ("prefix_hash", "least")])
def test_bounded_hashing(name, full):
    env = FakeEnv(4, page_size=16)
    agent = started(make_agent(name), env)
    ring = Ring(4, agent.virtual_nodes)
    depth = 1 if name == "chwbl" else 16  # pages within 25 and 256 tokens
    for group in range(0, 2000, 100):
        pages = range(group, group + 20)
        order = list(dict.fromkeys(ring.walk(pages[depth - 1])))
        assert ask(agent, env, pages) == order[0]
        # 1.25 x (20 + 1) / 4 = 6.56: the owner has more.
        inflight = [0.0] * 4
        inflight[order[0]], inflight[order[1]], inflight[order[2]], inflight[order[3]] = 7, 6, 6, 1
        assert ask(agent, env, pages, inflight=inflight) == (order[1] if full == "next" else order[3])
        inflight[order[0]], inflight[order[1]] = 6, 7
        assert ask(agent, env, pages, inflight=inflight) == order[0]
        mask = [int(worker != order[0]) for worker in range(4)]
        assert ask(agent, env, pages, mask=mask) == order[1]


def test_rings_are_even_and_keep_most_keys_when_a_worker_comes():
    owners = [next(Ring(4, 256).walk(key)) for key in range(400)]
    assert all(60 < owners.count(worker) < 140 for worker in range(4))
    more = [next(Ring(5, 256).walk(key)) for key in range(400)]
    assert all(a == b or b == 4 for a, b in zip(owners, more, strict=True))


def test_dualmap_takes_the_better_match_within_the_objective():
    env = FakeEnv(4, page_size=16)  # 1 ms a token
    agent = started(make_agent("dualmap", slo_s=2.0), env)
    pages = range(10)
    one, two = (next(ring.walk(0)) for ring in agent._rings)
    if one == two:
        two = (one + 1) % 4
    others = {"match": [0.0] * 4, "miss": [160.0] * 4, "prefill": [0.0] * 4}
    for worker in {0, 1, 2, 3} - {one, two}:
        others["match"][worker], others["miss"][worker] = 160.0, 0.0  # tempting, but no candidate
    others["match"][two], others["miss"][two], others["prefill"][two] = 100.0, 60.0, 1900.0
    assert ask(agent, env, pages, **others) == two  # 1.96 s
    others["prefill"][two] = 1950.0
    assert ask(agent, env, pages, **others) == one  # 2.01 s
    assert ask(agent, env, pages, request={"slo_ttft": 3.0}, **others) == two
    others["match"][two] = others["prefill"][two] = 0.0
    use = [0.0] * 4
    use[two] = 0.5
    assert ask(agent, env, pages, kv_use=use, **others) == one  # equal matches: less memory in use


def test_dualmap_tells_hot_beginnings_apart():
    env = FakeEnv(4)
    agent = started(make_agent("dualmap"), env)
    keys = [agent.key([7, 100 + i, 200 + i]) for i in range(21)]
    assert keys[:19] == [7] * 19  # too few to say
    assert keys[20] == 120  # 7 is all that came: it is told apart by the page behind it
    for i in range(300):
        agent.key([1000 + i])
    assert agent.key([7, 500]) == 500  # the last one that is, as 7 has less than 2 % now
    assert agent.key([7, 501]) == 7


def test_prefixaware_draws_among_those_with_most_of_the_prompt():
    env = FakeEnv(3, page_size=16)
    agent = started(make_agent("prefixaware"), env)
    drawn = {ask(agent, env, [100 * i, 100 * i + 1]) for i in range(1, 40)}
    assert drawn == {0, 1, 2}  # nobody has it: any
    owner = ask(agent, env, range(8))
    assert {ask(agent, env, range(8), inflight=[99 * (w == owner) for w in range(3)]) for _ in range(20)} == {owner}
    assert {ask(agent, env, [*range(6), 90, 91]) for _ in range(20)} == {owner}
    # One page of a chunk of two is no match.
    assert len({ask(agent, env, [0, 500 + 2 * i]) for i in range(40)}) == 3
    assert ask(agent, env, range(8), mask=[int(w != owner) for w in range(3)]) != owner


def test_kvaware_wants_all_but_two_thousand_tokens():
    env = FakeEnv(3)
    agent = started(make_agent("kvaware"), env)
    assert agent.env_kwargs == {"view": "exact"}
    assert ask(agent, env, prompt=5000, match=[0, 3000, 3000], inflight=[0, 99, 0]) == 1
    assert ask(agent, env, prompt=5000, match=[0, 2999, 0]) == 0  # never asked before
    assert ask(agent, env, prompt=1000) == 2
    assert ask(agent, env, prompt=1000, time=1.0, match=[0, 0, 16]) == 2  # any match does for a short prompt
    assert [ask(agent, env, prompt=1000, time=2.0) for _ in range(3)] == [0, 1, 0]  # requests so far: 1, 1, 2
    assert ask(agent, env, prompt=1000, time=60.5) == 1  # those at 0 s are out of the window: 2, 1, 1


def test_aibrix_limits():
    env = FakeEnv(4, page_size=16)
    agent = started(make_agent("aibrix"), env)
    assert ask(agent, env, range(10), inflight=[1, 0, 1, 1]) == 1  # no match: the fewest
    # Mean 2.5 and deviation 1: 3.5 is allowed, 4 is not.
    assert ask(agent, env, range(10), inflight=[3, 3, 2, 2]) == 1
    assert ask(agent, env, range(10), inflight=[3, 4, 2, 1]) == 3
    assert ask(agent, env, range(10), inflight=[2, 2, 2, 1]) == 3  # both have it: the fewest
    # 12 > 2 x (3 + 1) and a gap of 12: of the holders only worker 3 is one of those with the fewest.
    assert ask(agent, env, range(10), inflight=[0, 12, 0, 0]) == 3
    assert ask(agent, env, range(10), inflight=[0, 12, 0, 9], mask=[1, 1, 1, 0]) in (0, 2)


def test_aibrix_sends_away_from_holders_only_when_the_gap_is_both_wide_and_large():
    env = FakeEnv(5, page_size=16)
    agent = started(make_agent("aibrix", deviations=9.0), env)
    assert ask(agent, env, range(10), inflight=[0, 1, 1, 1, 1]) == 0
    assert ask(agent, env, range(10), inflight=[9, 2, 2, 2, 2]) == 0  # 9 <= 2 x (3.4 + 1)
    assert ask(agent, env, range(10), inflight=[7, 0, 0, 0, 1]) == 0  # the gap is below 8
    assert ask(agent, env, range(10), inflight=[9, 1, 0, 1, 1]) == 2  # 9 > 2 x (2.4 + 1)


def test_preble_exploits_and_explores():
    env = FakeEnv(3, page_size=16)
    agent = started(make_agent("preble"), env)
    assert ask(agent, env, range(40)) == 0
    cost = v100_prefill_s(640, 640) + 6.75
    assert agent.costs.tolist() == pytest.approx([cost, 0, 0])
    assert ask(agent, env, range(100, 110)) == 1  # new: where the window costs least
    assert ask(agent, env, [*range(21), *range(200, 219)]) == 0  # 21 of 40 pages
    assert agent.costs[0] == pytest.approx(cost + 19 / 40 * v100_prefill_s(304, 640) + 6.75)
    assert ask(agent, env, [*range(20), *range(300, 320)]) == 2  # half is not more than half
    assert ask(agent, env, range(20), time=1.0) == 2  # 0 and 2 have all of it, 2 was sent less
    assert ask(agent, env, range(400, 410), time=180.5) == 0  # only the last one is in the window
    assert agent.counts.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("new", "prompt", "ms"),
    [
        (100, 500, (55 + 0.8) / 0.9),
        (200, 500, (-295 + 625 - 256 + 0.8) / 0.9),
        (1000, 2000, (271.06428 + 10.52444263 + (0.93 + 0.398) / 2) / 0.9),
        (5000, 5000, (1355.3214 + 10.52444263 + 2.325 + 0.398 - 18.425 + 48.25 + 135) / 0.9),
    ],
)
def test_aibrix_time_of_a_v100(new, prompt, ms):
    assert v100_prefill_s(new, prompt) == pytest.approx(ms / 1e3)


def test_ray_affinity():
    env = FakeEnv(3)
    agent = started(make_agent("ray_affinity"), env)
    assert ask(agent, env, range(100), inflight=[1, 0, 0]) == 1  # all trees are empty: the shortest queue
    assert ask(agent, env, range(100, 110), inflight=[5, 0, 6]) == 0  # smallest trees: 0 and 2
    assert ask(agent, env, [*range(10), *range(200, 290)], inflight=[0, 99, 0]) == 1  # 10 % match
    assert ask(agent, env, [*range(9), *range(300, 391)]) == 2  # 9 %: the smallest tree
    limited = started(make_agent("ray_affinity", imbalanced=10), env)
    ask(limited, env, range(100), inflight=[1, 0, 1])
    assert ask(limited, env, range(100), inflight=[0, 10, 5]) == 1
    drawn = [ask(limited, env, range(100), inflight=[0, 99, 5]) for _ in range(300)]
    assert drawn.count(1) == 0 and 150 < drawn.count(0) < 250  # two of three pairs


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        # requests 100 x (105 - load) / 105: 95, 0; memory 10, 90
        ({"running": [5, 5], "queued": [0, 1], "kv_use": [0.9, 0.1]}, 0),
        ({"running": [5, 6], "kv_use": [0.9, 0.1]}, 1),  # 16 + 10, 0 + 90
        ({"ttft_ewma": [1, 2], "tpot_ewma": [0.03, 0.01], "kv_use": [0.1, 0.0]}, 1),  # 50 + 90, 50 + 100
        ({"ttft_ewma": [1, 2], "tpot_ewma": [0.01, 0.01], "kv_use": [0.1, 0.0]}, 0),  # 100 + 90, 50 + 100
        ({"ttft_ewma": [1, 2], "tpot_ewma": [0.01, 0.0], "kv_use": [0.1, 0.0]}, 1),  # unknown: 100
        ({"queued": [10, 9], "running": [0, 900]}, 1),  # ten wait: left out
        ({"queued": [10, 11], "running": [0, 0]}, 0),  # all would be left out
    ],
)
def test_kthena_adds_four_scores(state, expected):
    env = FakeEnv(2)
    assert ask(started(make_agent("kthena"), env), env, **state) == expected


def test_kthena_is_the_formula_of_its_four_scores():
    rng = np.random.default_rng(8)
    env = FakeEnv(12, page_size=16)
    agent, tokens = started(make_agent("kthena"), env), np.zeros(12)
    look_up = agent.index.look_up

    def kept(gone):
        tokens[:] = look_up(gone)
        return tokens

    agent.index.look_up = kept
    for step in range(200):
        at_most = rng.choice([1, 12, 40])
        seen = {
            "running": rng.integers(0, at_most, 12),
            "queued": rng.integers(0, at_most, 12) * (rng.random() < 0.7),
            "kv_use": rng.random(12),
            "ttft_ewma": rng.random(12) * (rng.random(12) < 0.8),
            "tpot_ewma": rng.random(12) * (rng.random(12) < 0.8),
        }
        mask = np.ones(12, int) if step % 3 else rng.random(12) < 0.5
        mask[rng.integers(12)] = 1
        pages = [*range(100 * (step % 5), 100 * (step % 5) + int(rng.integers(1, 9))), 1000 + step]
        worker = ask(agent, env, pages, mask=mask.astype(int).tolist(), **seen)
        queued, kv_use, ttft, tpot = (
            np.array(seen[name], np.float32).astype(float) for name in ("queued", "kv_use", "ttft_ewma", "tpot_ewma")
        )
        up = mask > 0
        up = up & (queued < 10) if (up & (queued < 10)).any() else up
        load = seen["running"] + 100.0 * queued
        most = load[up].max()
        score = np.floor(100 * (most - load) / most) if most else np.full(12, 100.0)
        score = score + np.floor(100 * (1 - kv_use))
        known, latency = (ttft > 0) & (tpot > 0), np.zeros(12)
        for times in (ttft, tpot):
            spread = np.ptp(times[known & up]) if (known & up).any() else 0.0
            latency += 50 * (times[known & up].max() - times) / spread if spread else 50.0
        score = score + np.where(known, np.floor(latency), 100.0)
        for i in np.argsort(-np.where(up, tokens, -1.0), kind="stable")[:5]:
            score[i] += np.floor(100 * min(np.ceil(tokens[i] / 16), len(pages)) / len(pages))
        assert agent.scores == np.where(up, score, -np.inf).tolist()
        assert score[worker] == score[up].max() and up[worker]


def test_kthena_counts_the_five_longest_matches_of_at_most_128_blocks():
    env = FakeEnv(7, page_size=16)
    agent = started(make_agent("kthena"), env)
    for worker in range(7):
        env.pages = list(range(10 + worker))
        agent.index.look_up()
        agent.index.add(worker)
    assert ask(agent, env, range(16), prompt=320) == 6
    assert agent.scores == [300, 300, 360, 365, 370, 375, 380]
    env.pages = list(range(1000, 1200))
    agent.index.look_up()
    agent.index.add(0)
    assert ask(agent, env, range(1000, 1200)) == 0
    assert agent.scores[0] == 400 and agent.index.sizes[0] == 10 + 128


def two_kinds(env):
    """Worker 1 takes 2 ms a token, the others 1 ms; attention takes 1 us a pair on all."""
    kinds = [IterationCost(k=1.0 + (i == 1), p=1.0, a_s=1e-3) for i in range(env.layout.n_workers)]
    env.scenario.cluster = ClusterSpec(tuple(WorkerSpec(1000, cost) for cost in kinds))
    return env


def test_mooncake_compares_seconds():
    env = two_kinds(FakeEnv(2))
    agent = started(make_agent("mooncake"), env)
    state = {"match": [0, 600], "miss": [1000, 400]}
    # 1 + 0.5 against 0.8 + 0.4 x (0.6 + 0.2) = 1.12, the half token left out.
    assert ask(agent, env, prompt=1000, **state) == 1
    assert ask(agent, env, prompt=1000, prefill=[0, 180], **state) == 1
    assert ask(agent, env, prompt=1000, prefill=[0, 200], **state) == 0


def test_mooncake_counts_what_can_be_fetched():
    env = two_kinds(FakeEnv(2, fetches=True))
    agent = started(make_agent("mooncake"), env)
    observation = env.observation(request={"prompt": 1000}, match=[0, 600], miss=[1000, 400])
    places = env.layout.blocks["fetch"]
    observation[env.layout.workers("fetch")] = [600, 0]
    observation[env.layout.workers("fetch_s")] = [0.3, 0.0]
    assert places and agent.act(observation, env.info()) == 0  # 0.3 + 0.4 + 0.32 against 1.12
    observation[env.layout.workers("fetch_s")] = [0.5, 0.0]
    assert agent.act(observation, env.info()) == 1


def test_least_work_counts_what_is_left():
    env = two_kinds(FakeEnv(3))
    progress, requests = np.zeros(5, PROGRESS), np.zeros(5, REQUEST)
    progress["finish_ps"] = -1
    progress["worker"] = [0, 0, 1, 2, 2]
    requests["prompt_tokens"], requests["output_tokens"] = 100, [10, 20, 5, 3, 3]
    progress["emitted"] = [4, 0, 0, 0, 0]
    progress["computed"] = [103, 60, 0, 0, 0]
    progress["miss_estimate"] = [100, 100, 30, 50, 50]
    progress["finish_ps"][4] = 1  # done
    env.simulator.tables.update(progress=progress, requests=requests)
    agent = started(make_agent("least_work"), env)
    assert agent.oracle
    # Prefill left: 0 + 40, 30 (the router's estimate) and 50 tokens. Outputs left: 26 of two, whose iteration takes
    # 2 ms; 5 of one, at 2 ms; 3 of one, at 1 ms.
    expected = [2 * 0.040 + 26 * 0.002, 0.060 + 5 * 0.002, 0.050 + 3 * 0.001]
    assert agent.work().tolist() == pytest.approx(expected)
    assert ask(agent, env) == 2
    # 40 of the tokens are in an iteration that ends in 0.01 s, another worker decodes.
    progress["chunk"][1] = 40
    env.simulator.tables["clock"]["now_ps"] = 10**12
    env.simulator.tables["workers"]["prefill_tokens"][0] = 40
    env.simulator.tables["workers"]["event_ps"][:2] = 10**12 + 10**10
    assert agent.work().tolist() == pytest.approx([2 * 0.010 + 26 * 0.002, *expected[1:]])
    assert ask(agent, env, mask=[1, 1, 0]) == 1


def predicted(env, times, **kwargs):
    """The agent, with times to first token (ms) in place of its trees."""
    agent = started(make_agent("llmd_predicted", **kwargs), env)
    agent.trees.predict = lambda features: np.array(times)
    return agent


@pytest.mark.parametrize(
    ("times", "share", "inflight", "target", "expected"),
    [
        # Without a target: all miss it, weights 1 + int(100 (1 - place)), places 0, 0.25 and 1.
        ([100, 200, 500], [0, 0, 0], [1, 1, 1], 0, [101, 76, 1]),
        ([100, 200, 500], [0, 0, 0], [1, 0, 0], 0, [0, 101, 1]),  # somebody has nothing in flight
        ([100, 200, 500], [0.5, 0.9, 0.8], [1, 1, 1], 0, [0, 101, 1]),  # most of the prompt is there
        ([100, 6000, 7000], [0.5, 0.9, 0.8], [1, 1, 1], 0, [101, 15, 1]),  # 5.9 s later: not worth it
        ([100, 5000, 7000], [0.5, 0.9, 0.8], [1, 1, 1], 0, [0, 101, 1]),  # 4.9 s
        # 300 ms: two meet it, the one that is nearer to it is the better one (to keep the others free).
        ([100, 200, 500], [0, 0, 0], [0, 1, 0], 300, [1, 101, 0]),
        ([100, 200, 500], [0, 0, 0.8], [1, 1, 1], 300, [0, 0, 51]),  # a single one has no place
    ],
)
def test_llmd_predicted_weighs_times_expected(times, share, inflight, target, expected):
    pytest.importorskip("lightgbm", reason="needs the extra trees")
    env = FakeEnv(3)
    agent = predicted(env, times, explore=0.0)
    agent.matched = lambda observation, gone: np.array(share)
    ask(agent, env, prompt=100, inflight=inflight, request={"slo_ttft": target / 1e3})
    assert agent.scores == expected


def test_llmd_predicted_learns_from_what_finished_every_ten_seconds():
    pytest.importorskip("lightgbm", reason="needs the extra trees")
    env = FakeEnv(2, page_size=16)
    agent = started(make_agent("llmd_predicted", least=60), env)
    rng = np.random.default_rng(0)
    for n in range(80):
        prompt = [1000, 8000][n % 2]
        env.done = [done(n - 1, 0, 0.0, (0.1 if n % 2 else 0.8) + 0.01 * rng.random())] if n else []
        queued = rng.integers(0, 3, 2).tolist()
        ask(agent, env, range(100 * n, 100 * n + 4), prompt=prompt, time=0.2 * n, queued=queued, inflight=[2, 2])
        trained = agent._trained
        assert trained == (0.0 if n < 60 else 12.0)  # with 60 samples, and not again for 10 s
    features = agent.features(env.observation(request={"prompt": 1000}, inflight=[2, 2]), np.zeros(2))
    assert features[0].tolist() == [0, 1000, 0, 2, 0, 1000, 0]
    longer = agent.features(env.observation(request={"prompt": 8000}, inflight=[2, 2]), np.array([0.6, 1.0]))
    assert longer[:, 4:].tolist() == [[0.6, 3200, 2], [1.0, 0, 3]]
    # First tokens after 100 to 110 ms for 1,000 tokens, 800 to 810 ms for 8,000.
    assert agent.trees.predict(features)[0] == pytest.approx(109, abs=5)
    longer[:, 4:] = 0.0, 8000.0, 0.0
    assert agent.trees.predict(longer)[0] == pytest.approx(809, abs=5)


def test_llmd_predicted_before_its_first_trees():
    pytest.importorskip("lightgbm", reason="needs the extra trees")
    env = FakeEnv(3)
    agent = started(make_agent("llmd_predicted"), env)
    agent.matched = lambda observation, gone: np.array([0.0, 0.5, 1.0])
    ask(agent, env, prompt=100, queued=[0, 2, 4], kv_use=[0.0, 0.5, 1.0])
    assert agent.scores == [67, 50, 33]
    ask(agent, env, prompt=100, queued=[2, 2, 2], kv_use=[1.0, 1.0, 1.0], mask=[1, 1, 0])
    assert agent.scores == [1, 17, 0]


def test_loadaware_trades_the_match_for_load():
    env = FakeEnv(3)
    agent = started(make_agent("loadaware"), env)
    assert agent.env_kwargs == {"view": "exact"}
    # Mean 4. Scores: 0.8 - 1; 0 - 0; 0.1 + 1. Without worker 2 the mean is 6: 0.8 - 1/3; 0 + 1/3.
    state = {"match": [80, 0, 10], "inflight": [8, 4, 0]}
    assert ask(agent, env, prompt=100, **state) == 2
    assert ask(agent, env, prompt=100, mask=[1, 1, 0], **state) == 0
    # Below one in flight the mean counts as one: 0.5 - 2/3; 0 + 1/3.
    assert ask(agent, env, prompt=100, match=[50, 0, 0], inflight=[1, 0, 0]) == 1
    half = started(make_agent("loadaware", beta=0.4), env)
    assert ask(half, env, prompt=100, match=[50, 0, 0], inflight=[1, 0, 0]) == 0  # 0.5 - 0.267; 0.133


def test_gorgo_adds_misses_and_tokens_in_flight():
    env = FakeEnv(2)
    agent = started(make_agent("gorgo", tunes=False), env)
    assert ask(agent, env, range(100)) == 0
    assert ask(agent, env, range(200, 250)) == 1  # 50 + 100, 50 + 0
    assert ask(agent, env, range(110)) == 0  # 10 + 100, 110 + 50: hits count in flight
    assert agent.tokens.tolist() == [210, 50]
    assert ask(agent, env, range(110)) == 1  # 0 + 210, 110 + 50
    env.done = [done(0, 0, 0.0, 1.0)]
    assert ask(agent, env, range(110), mask=[0, 1]) == 1  # worker 0 is down
    assert agent.tokens.tolist() == [0, 270]
    heavy = started(make_agent("gorgo", tunes=False, prefill_weight=10.0), env)
    assert [ask(heavy, env, range(100)) for _ in range(3)] == [0, 0, 0]  # 1000 against 100 and 200


def test_gorgo_searches_its_weight_by_the_95th_percentile_of_a_window():
    env = FakeEnv(2)
    agent = started(make_agent("gorgo", window=20, hop=10), env, seed=3)
    scores = []
    report = agent.search.report
    agent.search.report = lambda score: scores.append(score) or report(score)
    for n in range(40):
        env.done = [done(n, 0, 0.0, 1.0 + n)]
        ask(agent, env, range(5))
    # Finished: 20, 30 and 40 requests. Of the last 20 the place is round(0.95 x 19) = 18.
    assert scores == [-(1.0 + 18), -(1.0 + 28), -(1.0 + 38)]
    assert agent.search.best == 1.0 and agent.weight != 1.0  # the baseline was better than either trial


def test_the_search_of_a_weight_follows_the_rule_of_one_fifth():
    search = WeightSearch(1.0, Random(0))
    first = search.report(-10.0)
    assert first == pytest.approx(np.exp(0.5 * Random(0).gauss(0.0, 1.0)))
    search.report(-10.04)  # less than half a percent worse: accepted
    assert search.best == first
    search.report(-11.0)
    assert search.best == first and search.sigma == 0.5
    for _ in range(6):
        search.report(-11.0)
    assert search.sigma == pytest.approx(0.5 * 0.817)  # 1 of 8
    while not search.over:
        search.report(-11.0)
    assert search.sigma < 0.05 and search.tried == search.best == first
    better = WeightSearch(9.0, Random(0))
    assert better.best == 5.0
    for n in range(9):
        better.report(-10.0 + n)
    assert better.sigma == pytest.approx(0.5 / 0.817)  # 8 of 8


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("lpwl", {}, 1),  # 100, 30 + 40
        ("lpwl_miss8", {}, 0),  # 100 + 0, 30 + 320: the longer queue for the longer match
        ("lpwl", {"max_age_s": 15}, 0),  # 100, 30 + 100, worker 1's match is too old
        ("lpwl_aged", {"miss_weight": 8}, 0),
    ],
)
def test_weights_and_ages_of_matches(name, arguments, expected):
    env = FakeEnv(2)
    state = {"prefill": [100, 30], "miss": [0, 40], "match": [100, 60], "match_age": [10, 20]}
    assert ask(started(make_agent(name, **arguments), env), env, prompt=100, **state) == expected


@pytest.mark.parametrize("name", ["lpwl", "lmetric"])
def test_an_old_match_counts_as_cold(name):
    env = FakeEnv(2)
    state = {"miss": [10, 50], "match": [90, 50], "match_age": [45.5, 44.5]}
    assert ask(started(make_agent(name), env), env, prompt=100, **state) == 0
    assert ask(started(make_agent(name, max_age_s=45.0), env), env, prompt=100, **state) == 1  # 100 against 50


def test_blocks_are_pages_where_pages_are_larger():
    _, look_up = index(FakeEnv(2, page_size=32), 16)
    look_up(range(3), add=1)
    assert look_up(range(2)) == [0, 64]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("llmd", {"view": "exact"}, "view must be one of own, scenario; got 'exact'"),
        ("dynamo", {"view": "own"}, "view must be one of events, scenario; got 'own'"),
        ("lpwl", {"max_age_s": -1}, "max_age_s must be a finite number >= 0, got -1"),
        ("chwbl", {"load_factor": 0.5}, "load_factor must be a finite number >= 1, got 0.5"),
        ("chwbl", {"full": "first"}, "full must be one of next, least; got 'first'"),
        ("kthena", {"top": 0}, "top must be an integer >= 1, got 0"),
        ("llmd_agentic", {"affinity": 2}, "affinity must be a finite number from 0 to 1, got 2"),
        ("cache_aware", {"owner": "last"}, "owner must be one of arbitrary, creator, least_loaded; got 'last'"),
    ],
)
def test_arguments_are_checked(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_agent(name, **arguments)
