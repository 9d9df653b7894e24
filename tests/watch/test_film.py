"""Films show what happened, and recording one changes nothing; so do the page's data and the trace made of it."""

import base64
import json
from collections import Counter

import numpy as np
import pytest

from agents import make_agent
from kvgym.evaluation import play
from kvgym.evaluation.stage import make_env
from kvgym.watch import trace as trace_module
from kvgym.watch.film import costs_of, film
from kvgym.watch.payload import payload
from kvgym.watch.trace import trace

SHORT = {"episode_requests": 60}
CRASHES = {"episode_requests": 400, "faults": {"crash_every_s": 20.0, "down_s": 4.0}}
# Memory that is full at once.
FULL = {
    **{"episode_requests": 12, "warmup_requests": 20},
    "workers": [{"kv_tokens": 12288, "cost": {"c0": 20.0, "k": 0.1}, "count": 4}],
}
CASES = {
    "route": ("lmetric", "gsp-stable", SHORT),
    "transfers": ("lbgr", "multi-node-agents", {"episode_requests": 300}),
    "faults": ("least_loaded", "failover", CRASHES),
    "evict": ("rlt", "gsp-stable", FULL),
    "nothing to evict": ("lru", "gsp-worst", {"episode_requests": 20}),
    "joint": ("pair", "gsp-stable", FULL),
}
ARGUMENTS = {"pair": {"router": "lmetric", "evictor": "lru"}}


def agent(name):
    return make_agent(name, **ARGUMENTS.get(name, {}))


@pytest.fixture(scope="module", params=CASES)
def case(request):
    name, scenario, overrides = CASES[request.param]
    return (*CASES[request.param], film(agent(name), name, scenario, 3, overrides=overrides, split="train"))


def test_recording_changes_nothing(case):
    name, scenario, overrides, shown = case
    episode = play(agent(name), scenario, 3, overrides=overrides, split="train")
    assert shown.metrics == pytest.approx(episode.metrics, nan_ok=True, abs=0)
    assert len(shown.actions) == episode.n_actions


def test_iterations_of_a_worker_follow_each_other(case):
    shown = case[3]
    log = shown.iterations
    assert (log["end"] > log["start"]).all() and (log["count"] >= 1).all()
    for w in range(len(shown.kv_pages)):
        mine = log["worker"] == w
        assert (log["start"][mine][1:] >= log["end"][mine][:-1] - 1e-9).all() or shown.faults
    finish = shown.requests["finish"]
    ends = {round(end, 9) for end in log["end"].tolist()}
    if not shown.faults:  # a crash cuts an iteration short
        single = log["count"] == 1
        assert {round(t, 9) for t in finish[~np.isnan(finish)].tolist()} - ends == set() or not single.all()


def test_memory_never_exceeds_what_there_is(case):
    shown = case[3]
    locked, cached, running, queued, up = np.moveaxis(shown.workers, 2, 0)
    assert (locked >= 0).all() and (cached >= 0).all() and (locked + cached <= shown.kv_pages).all()
    assert (running >= 0).all() and (queued >= 0).all() and set(up.ravel().tolist()) <= {0, 1}
    assert ((up == 0).any()) == (case[1] == "failover")


def test_every_transfer_of_a_routed_request_is_there():
    shown = film(make_agent("lmetric"), "lmetric", "multi-node-agents", 3, overrides={"episode_requests": 1500})
    fetched = set(shown.requests["request"][shown.requests["fetched_tokens"] > 0].tolist()) & set(
        shown.deciding.tolist()
    )
    assert fetched and fetched <= {request for request, *_ in shown.transfers}
    arrival = dict(zip(shown.requests["request"].tolist(), shown.requests["arrival"].tolist(), strict=True))
    for request, source, target, start, end in shown.transfers:
        assert source != target and end > start >= arrival[request]


def test_faults_are_those_of_the_episode():
    shown = film(make_agent("least_loaded"), "x", "failover", 3, overrides=CRASHES)
    down = [w for w in range(len(shown.kv_pages)) if (shown.workers[:, w, 4] == 0).any()]
    assert {fault.worker for fault in shown.faults if fault.time_s < shown.times[-1]} >= set(down) != set()


def test_costs_are_those_of_the_other_choices():
    env = make_env(make_agent("least_loaded"), "gsp-stable", overrides={"episode_requests": 8}, split="train")
    env.reset(seed=5)
    simulator = env.simulator
    before = {name: table.copy() for name, table in simulator.tables.items()}
    now = simulator.now
    costs = costs_of(simulator, 2)
    assert all((simulator.tables[name] == table).all() for name, table in before.items())
    assert len(set(costs)) > 1
    for worker, cost in enumerate(costs):
        copy = simulator.clone()
        copy.route(worker)
        arrived = 0
        while (decision := copy.advance()).kind == "ROUTE" and arrived < 2:
            copy.route(int(np.argmin(copy.tables["workers"]["inflight"])))
            arrived += 1
        n = decision.request  # the third arrival and those after it are not played by `costs_of`
        short = simulator.clone()
        short.tables["config"] = short.tables["config"].copy()
        short.tables["config"]["limit"] = n
        short._open()
        short.route(worker)
        while short.advance().kind == "ROUTE":
            short.route(int(np.argmin(short.tables["workers"]["inflight"])))
        records = short.records()
        late = records["finish"] > now
        assert cost == np.mean(records["finish"][late] - records["arrival"][late])


def test_scores_are_kept_where_the_agent_says_them():
    shown = film(make_agent("lmetric"), "lmetric", "gsp-stable", 3, overrides=SHORT)
    assert (np.nanargmax(shown.scores, axis=1) == shown.actions).all()
    assert film(make_agent("random"), "random", "gsp-stable", 3, overrides=SHORT).scores is None
    for name in ("dynamo", "lbgr", "lbgr_code", "llmd", "lpwl", "least_loaded"):
        shown = film(make_agent(name), name, "gsp-stable", 3, overrides=SHORT)
        chosen = np.take_along_axis(shown.scores, shown.actions[:, None], axis=1)[:, 0]
        assert np.mean(chosen == shown.scores.max(axis=1)) > (0.5 if name == "lbgr_code" else 0.99)


def test_scores_of_another_length_are_refused():
    wrong = make_agent("least_loaded")
    wrong.act = lambda observation, info: setattr(wrong, "scores", [1.0]) or 0
    with pytest.raises(ValueError, match="each of 4 actions"):
        film(wrong, "wrong", "gsp-stable", 3, overrides=SHORT)


def test_the_data_of_the_page(case):
    shown = case[3]
    (plain,) = json.loads(payload([shown]))["films"]
    n, m = len(shown.times), len(shown.kv_pages)
    for columns in (plain["requests"], plain["iterations"], plain["transfers"], plain["faults"]):
        assert len({len(column) for column in columns.values()}) == 1
    decisions = plain["decisions"]
    assert [len(decisions[name]) for name in ("time", "request", "asking", "action")] == [n] * 4
    assert len(decisions["features"]) == shown.layout.size
    observations = np.frombuffer(base64.b64decode(decisions["observation"]), "<f4").reshape(n, -1)
    assert (observations == shown.observations).all()
    memory = np.frombuffer(base64.b64decode(plain["memory"]), "<i4").reshape(n, m, 5)
    assert (memory == shown.workers).all()
    assert len(plain["workers"]) == m
    assert plain["metrics"]["J"] == shown.metrics["J"]


@pytest.mark.slow
def test_the_trace(case):
    shown = case[3]
    events = json.loads(trace(shown))["traceEvents"]
    kinds = Counter(event["ph"] for event in events)
    assert kinds["b"] == kinds["e"] == 4 * int((~np.isnan(shown.requests["finish"])).sum())
    assert kinds["i"] == len(shown.times)
    spans = [event for event in events if event["ph"] == "X"]
    assert len([span for span in spans if span["tid"] == 0]) == len(shown.iterations["start"])
    assert all(span["dur"] > 0 for span in spans)
    opened = Counter()
    for event in sorted((e for e in events if e["ph"] in "be"), key=lambda e: e["ts"]):
        opened[event["id"], event["name"]] += 1 if event["ph"] == "b" else -1
    assert set(opened.values()) == {0}


def test_the_command(tmp_path, capsys):
    out = tmp_path / "t.json"
    assert trace_module.main(["--agent", "lmetric", "--requests", "20", "--look-ahead", "2", "--out", str(out)]) == 0
    marks = [event for event in json.loads(out.read_text())["traceEvents"] if event["ph"] == "i"]
    assert len(marks) == 20 and all(len(mark["args"]["costs"]) == 4 for mark in marks)
    for wrong, message in [
        (["--requests", "0"], "--requests must be"),
        (["--agent", "nobody"], "agent must be one of"),
        (["--look-ahead", "-1"], "--look-ahead must be"),
        (["--agent", "rlt", "--look-ahead", "0"], "at most 50,000 decisions"),
    ]:
        with pytest.raises(SystemExit):
            trace_module.main([*wrong, "--out", str(tmp_path / "no.json")])
        assert message in capsys.readouterr().err
        assert not (tmp_path / "no.json").exists()
