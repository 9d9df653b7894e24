"""The trace recipe: parts of a file by seed, splits that never overlap, files that are too short."""

from collections import Counter

import numpy as np
import pytest

from kvgym.envs.route import RouteEnv
from kvgym.scenarios import SPLITS, get_scenario
from kvgym.scenarios.traces import TRACE_SHARES
from kvgym.workload import read_mooncake
from tests.envs.helpers import digest, play
from tests.workload.samples import agent_sessions, mooncake_rows, write

N_SESSIONS = 60


@pytest.fixture
def traces(tmp_path):
    """A trace of each format."""
    return {
        "mooncake": write(tmp_path / "a.jsonl", mooncake_rows(400, step_ms=500)),
        "agent-sessions": write(tmp_path / "b.jsonl.gz", agent_sessions(N_SESSIONS), compress=True),
    }


def trace_scenario(path, format="mooncake", n=30, more=None, **args):
    overrides = {"warmup_requests": 5, "episode_requests": n - 5, **(more or {})}
    return get_scenario("trace", {**overrides, "recipe_args": {"path": str(path), "format": format, **args}})


def workload(scenario, seed=0, split="train"):
    return scenario.workload(scenario.seeds(seed, split, 0)[0], split)


@pytest.mark.parametrize("format", ["mooncake", "agent-sessions"])
def test_every_seed_plays_a_part(traces, format):
    scenario = trace_scenario(traces[format], format)
    for split in SPLITS:
        hashes = set()
        for seed in range(12):
            made = workload(scenario, seed, split)
            assert len(made) >= 30
            assert made.content_hash() == workload(scenario, seed, split).content_hash()
            hashes.add(made.content_hash())
        assert len(hashes) > 3


def rows_played(made, rows):
    """Places in a trace of the requests of a workload, found by their sizes in a row."""
    sizes = list(zip(made.requests["prompt_tokens"].tolist(), made.requests["output_tokens"].tolist(), strict=True))
    all_sizes = [(row["input_length"], max(1, row["output_length"])) for row in rows]
    places = [i for i in range(len(rows)) if all_sizes[i : i + len(sizes)] == sizes]
    assert len(places) == 1
    return range(places[0], places[0] + len(sizes))


def test_splits_are_disjoint_stretches_of_time(traces):
    rows = mooncake_rows(400, step_ms=500)
    scenario = trace_scenario(traces["mooncake"])
    end = rows[-1]["timestamp"]
    used = {split: set() for split in SPLITS}
    for split in SPLITS:
        low, high = TRACE_SHARES[split]
        for seed in range(30):
            places = rows_played(workload(scenario, seed, split), rows)
            times = [rows[i]["timestamp"] for i in places]
            assert low * end <= min(times) and max(times) <= high * end
            used[split] |= set(places)
    for a, b in (("train", "validation"), ("validation", "test"), ("train", "test")):
        assert not used[a] & used[b]
    assert sum(len(places) for places in used.values()) > 350  # nearly all of the trace is played by some seed


def test_splits_are_disjoint_sessions(traces):
    """A session's first prompt length is its own here: sessions are told apart by it."""
    sessions = agent_sessions(N_SESSIONS)
    starts = {}
    for number, session in enumerate(sessions):
        starts.setdefault((session["reqs"][0]["in"], max(1, session["reqs"][0]["out"])), set()).add(number)
    scenario = trace_scenario(traces["agent-sessions"], "agent-sessions")
    for split in SPLITS:
        low, high = (round(share * N_SESSIONS) for share in TRACE_SHARES[split])
        for seed in range(30):
            requests = workload(scenario, seed, split).requests
            for row in requests[(requests["turn"] == 0) & (requests["predecessor"] < 0)]:
                numbers = starts[int(row["prompt_tokens"]), int(row["output_tokens"])]
                assert any(low <= number < high for number in numbers)


def test_content_hashes_of_splits_differ(traces):
    for format in traces:
        scenario = trace_scenario(traces[format], format)
        hashes = {split: {workload(scenario, seed, split).content_hash() for seed in range(20)} for split in SPLITS}
        assert not hashes["train"] & hashes["validation"] and not hashes["validation"] & hashes["test"]
        assert not hashes["train"] & hashes["test"]


@pytest.mark.parametrize("format", ["mooncake", "agent-sessions"])
@pytest.mark.parametrize("horizon", ["drain", "truncate"])
def test_an_environment_plays_a_trace(traces, format, horizon):
    overrides = {"warmup_requests": 5, "episode_requests": 25}
    overrides["recipe_args"] = {"path": str(traces[format]), "format": format, "rate_scale": 3.0}
    env = RouteEnv("trace", scenario_overrides=overrides, horizon=horizon)
    episode = play(env, seed=1)
    assert len(episode) == 26
    assert all(env.observation_space.contains(step[0]) for step in episode)
    assert digest(play(env, seed=1)) == digest(episode)
    if format == "mooncake":
        assert episode[-1][3] == (horizon == "truncate")  # there is a request to stop at


def test_arguments_reach_the_reader(traces):
    plain, fast = (workload(trace_scenario(traces["mooncake"], rate_scale=x, jitter=0)) for x in (1.0, 2.0))
    assert plain.requests["arrival_ps"].max() == 2 * fast.requests["arrival_ps"].max() > 0
    spread = workload(trace_scenario(traces["mooncake"], jitter=0.5))
    assert len(np.unique(spread.requests["arrival_ps"])) > len(np.unique(plain.requests["arrival_ps"]))


def test_requests_that_fit_nowhere_are_dropped_counted_and_made_up_for(traces):
    longest = np.quantile([row["input_length"] for row in mooncake_rows(400)], 0.8)
    small = {"workers": [{"kv_tokens": int(longest), "cost": {"c0": 5.0}}] * 2}
    played = [workload(trace_scenario(traces["mooncake"], more=small), seed) for seed in range(6)]
    assert all(len(made) >= 30 and made.requests["prompt_tokens"].max() <= longest for made in played)
    assert sum(made.n_dropped for made in played) > 20
    hashes = {made.content_hash() for made in played}
    assert len(hashes) == 6  # what does not fit makes a part longer, not two parts overlap


def test_requests_longer_than_the_models_context_are_dropped_and_counted(traces):
    made = workload(trace_scenario(traces["mooncake"], max_model_len=4000))
    tokens = made.requests["prompt_tokens"] + made.requests["output_tokens"]
    assert tokens.max() <= 4000 and made.n_dropped > 0
    with pytest.raises(ValueError, match=r"max_model_len must be an integer >= 2, got 1"):
        workload(trace_scenario(traces["mooncake"], max_model_len=1))


def test_a_changed_file_is_read_again(traces, tmp_path):
    path = traces["mooncake"]
    before = workload(trace_scenario(path)).content_hash()
    write(path, mooncake_rows(300, seed=5, step_ms=700))
    assert workload(trace_scenario(path)).content_hash() != before


def test_too_few_requests(traces, tmp_path):
    with pytest.raises(
        ValueError, match=r"the test share of .*a\.jsonl has \d+ requests that fit, the scenario plays 390"
    ):
        workload(trace_scenario(traces["mooncake"], n=390), split="test")
    with pytest.raises(ValueError, match=r"the test share of .*b.jsonl.gz has \d+ requests that fit"):
        workload(trace_scenario(traces["agent-sessions"], "agent-sessions", n=390), split="test")
    one = write(tmp_path / "one.jsonl", agent_sessions(1))
    with pytest.raises(ValueError, match=r"the validation share of .*one\.jsonl has 0 requests that fit"):
        workload(trace_scenario(one, "agent-sessions"), split="validation")


def requests_of(made):
    """What tells the requests of the sample traces apart."""
    return list(zip(made.requests["prompt_tokens"].tolist(), made.requests["output_tokens"].tolist(), strict=True))


@pytest.mark.parametrize("format", ["mooncake", "agent-sessions"])
@pytest.mark.parametrize("split", SPLITS)
def test_parts_of_different_seeds_are_disjoint(traces, format, split):
    """Every request of the share is in one part at most, and parts come again only when all were played."""
    scenario = trace_scenario(traces[format], format)
    facts = scenario.trace_facts(split)
    size = scenario.trace_facts("all").requests
    whole = scenario.with_overrides({"warmup_requests": 0, "episode_requests": size})
    assert facts.parts >= 2 or (split == "validation" and facts.parts == 1)
    played = [Counter(requests_of(workload(scenario, seed, split))) for seed in range(facts.parts)]
    assert not sum(played, Counter()) - Counter(requests_of(workload(whole, 0, "all")))
    if format == "mooncake":  # sessions start at other times, and another one may be the last
        assert requests_of(workload(scenario, facts.parts, split)) == requests_of(workload(scenario, 0, split))


def test_the_whole_trace_is_played(traces):
    scenario = trace_scenario(traces["mooncake"], n=400)
    assert scenario.trace_facts("all") == (400, 1, 0.5, True)
    made = workload(scenario, 3, "all")
    rows = mooncake_rows(400, step_ms=500)
    assert requests_of(made) == [(row["input_length"], max(1, row["output_length"])) for row in rows]
    assert made.infinite_hit_rate() == read_mooncake(traces["mooncake"], 16).infinite_hit_rate()
    late = made.requests["arrival_ps"] * 1e-12 - np.array([row["timestamp"] for row in rows]) / 1e3
    assert late.min() > -0.5 and late.max() < 0.5  # from the first one on, which was spread too


def test_times_without_steps_stay(tmp_path):
    rows = mooncake_rows(100)
    for i, row in enumerate(rows):
        row["timestamp"] = 40 * i + i % 3
    scenario = trace_scenario(write(tmp_path / "a.jsonl", rows))
    assert scenario.trace_facts("train").jitter_s == 0
    times = workload(scenario, split="all").requests["arrival_ps"]
    assert (times == [(row["timestamp"]) * 10**9 for row in rows[:31]]).all()


def test_a_rate_scales_every_recipe():
    """Requests stay, arrivals are closer; inside sessions the pauses stay."""
    for name in ("gsp-stable", "multi-turn"):
        slow, fast = (workload(get_scenario(name, {"rate_scale": scale})) for scale in (1.0, 2.0))
        first = slow.requests["predecessor"] < 0
        half = slow.requests["arrival_ps"][first] / 2
        assert np.abs(fast.requests["arrival_ps"][first] - half).max() <= 1
        assert (fast.requests["think_ps"] == slow.requests["think_ps"]).all()
        assert requests_of(slow) == requests_of(fast)


def test_refusals(traces, tmp_path):
    with pytest.raises(ValueError, match=r"format must be one of mooncake, .*; got 'csv'"):
        workload(trace_scenario(traces["mooncake"], "csv"))
    with pytest.raises(ValueError, match=r"recipe_args of trace must be an existing file or folder, got .*nothing"):
        workload(trace_scenario(tmp_path / "nothing.jsonl"))
    with pytest.raises(
        ValueError, match=r"recipe_args of trace, format 'mooncake': 'starts' .* allowed are rate_scale"
    ):
        workload(trace_scenario(traces["mooncake"], starts="fixed"))
    with pytest.raises(ValueError, match="rate_scale must be a finite number from 0 to 1e\\+09, got 'x'"):
        workload(trace_scenario(traces["mooncake"], rate_scale="x"))
    with pytest.raises(ValueError, match=r"recipe_args of trace: .*'speed'"):
        workload(trace_scenario(traces["mooncake"], speed=3))
    with pytest.raises(ValueError, match="timestamp"):
        workload(trace_scenario(traces["agent-sessions"]))


def test_a_format_is_found_out_and_a_folder_is_a_trace(traces, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    traces["mooncake"].rename(folder / "a.jsonl")
    given = workload(trace_scenario(folder / "a.jsonl"))
    assert workload(trace_scenario(folder, None)).content_hash() == given.content_hash()
    rows = "".join(f"{i},{100 + i},{5 + i % 7}\n" for i in range(300))
    (tmp_path / "a.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows)
    assert len(workload(trace_scenario(tmp_path / "a.csv", None))) >= 30
