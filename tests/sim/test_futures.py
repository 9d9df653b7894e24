"""A future drawn anew: the past stays, the parts stay, and nothing of the true order is left."""

import numpy as np
import pytest

from kvgym.scenarios import get_scenario
from kvgym.sim import Simulator
from kvgym.workload import Workload
from tests.envs.helpers import SMALL
from tests.sim import small

# Long enough for the statistics of orders.
OPEN_LOOP = {"recipe_args": {"groups": 8, "prompts_per_group": 6}, "episode_requests": 36, "warmup_requests": 0}
CASES = [
    ("gsp-stable", "ghost_slru"),
    ("multi-turn", "lru"),
    ("mixed-fleet", "belady"),
    ("failover", "rlt"),
    ("straggler", "gdsf"),
    ("multi-node-agents", "lru"),
]


def at_a_decision(name, evictor="lru", decisions=14, debug=False, overrides=None):
    """A simulator that has a ROUTE decision due, after some that took turns."""
    scenario = get_scenario(name, overrides or SMALL[name])
    seed = scenario.seeds(1, "train", 0)[0]
    simulator = Simulator(
        scenario.cluster,
        scenario.engine,
        evictor,
        "agent",
        scenario.view,
        transfer=scenario.transfer,
        debug=debug,
    )
    workload = scenario.workload(seed, "train")
    simulator.reset(workload, 2, faults=scenario.fault_schedule(seed), hints=np.arange(len(workload)))
    for number in range(decisions):
        simulator.advance()
        simulator.route(int(np.flatnonzero(simulator.up())[number % simulator.up().sum()]))
    simulator.advance()
    return simulator


def contents(simulator):
    """What each request is: its session and turn (which name it), lengths, class, hint and path."""
    requests, paths = simulator.tables["requests"], simulator.tables["paths"]
    names = ("session", "turn", "prompt_tokens", "output_tokens", "service_class", "session_u")
    found = []
    for row, hint in zip(requests, simulator.tables["hints"], strict=True):
        path = paths[row["path_start"] : row["path_start"] + row["path_nodes"]]
        found.append((*(row[name].item() for name in names), int(hint), tuple(path.tolist())))
    return found


def starts(simulator):
    """When each session that has not begun begins (ps), by session."""
    requests, arrived = simulator.tables["requests"], simulator.tables["progress"]["arrived_ps"] >= 0
    begun = set(requests["session"][arrived].tolist())
    first = {}
    for session, time, leader in zip(
        *(requests[n].tolist() for n in ("session", "arrival_ps", "predecessor")), strict=True
    ):
        if session not in begun and leader < 0:
            first[session] = min(time, first.get(session, time))
    return first


def differing(some, others):
    """Names of the tables that are not the same."""
    return {name for name in some if not np.array_equal(some[name], others[name])}


def run_out(simulator):
    """Plays to the end with a rule that reads the tables."""
    while simulator.advance().kind == "ROUTE":
        load = [sum(simulator.load(w)) if up else 10**9 for w, up in enumerate(simulator.up())]
        simulator.route(int(np.argmin(load)))
    return simulator.records()


@pytest.mark.parametrize(("name", "evictor"), CASES)
def test_past_and_parts_stay_and_the_copy_runs_to_its_end(name, evictor):
    simulator = at_a_decision(name, evictor, 5, debug=True)
    before = {key: table.copy() for key, table in simulator.tables.items()}
    drawn, again, other = (simulator.clone(resample_future=seed) for seed in (5, 5, 6))
    assert not differing(simulator.tables, before)
    assert not differing(drawn.tables, again.tables)
    assert "requests" in differing(drawn.tables, other.tables)

    arrived = np.flatnonzero(simulator.tables["progress"]["arrived_ps"] >= 0)
    mine, true = contents(drawn), contents(simulator)
    assert [mine[q] for q in arrived] == [true[q] for q in arrived]
    assert sorted(mine) == sorted(true)
    future = {"requests", "nodes", "paths", "hints", "faults", "config", "pending", "clock"}
    assert differing(drawn.tables, before) <= future | {"uses", "use_starts", "use_next", "heaps"}
    assert drawn.records().tobytes() == simulator.records().tobytes()
    thinks = [np.sort(one.tables["requests"]["think_ps"]) for one in (simulator, drawn)]
    assert np.array_equal(*thinks)
    gaps = [np.diff(sorted(starts(one).values()), prepend=round(one.now * 1e12)) for one in (simulator, drawn)]
    assert sorted(gaps[0].tolist()) == sorted(gaps[1].tolist())

    records = run_out(drawn)
    assert len(records) == len(simulator.workload) and not np.isnan(records["finish"]).any()
    fresh = Simulator(simulator.cluster, simulator.engine, evictor, "least_loaded", debug=True)
    fresh.reset(drawn.workload)  # the drawn workload stands on its own
    fresh.run()


def timed_sessions():
    """A simulator at its sixth decision: sessions of three turns that come 0, 2 and 5 s after the session's start."""
    turns = sorted((3.0 * session + later, session) for session in range(12) for later in (0.0, 2.0, 5.0))
    prompts = [[session] * 4 for _, session in turns]
    workload = Workload.from_tokens(
        prompts, [2] * 36, [time for time, _ in turns], 1, sessions=[session for _, session in turns]
    )
    simulator = small.started(workload)
    for _ in range(5):
        simulator.advance()
        simulator.route(0)
    simulator.advance()
    return simulator


def test_sessions_that_have_begun_keep_their_times_and_others_their_shape():
    simulator = timed_sessions()
    begun = set(simulator.tables["requests"]["session"][simulator.tables["progress"]["arrived_ps"] >= 0].tolist())
    first, drawn = starts(simulator), simulator.clone(resample_future=3)
    moved = starts(drawn)
    assert len(begun) == 3 and len(first) == 9
    assert sorted(moved.values()) == sorted(first.values()) and moved != first  # all gaps but one are the same
    for one, begins in ((simulator, first), (drawn, moved)):
        requests = one.tables["requests"]
        for session in range(12):
            mine = requests["arrival_ps"][requests["session"] == session]
            start = begins.get(session, 3 * session * 10**12)
            assert ((mine - start) / 10**12).tolist() == [0, 2, 5]
    assert not np.isnan(run_out(drawn)["finish"]).any()


def test_nothing_of_the_true_order_is_left():
    simulator = at_a_decision("gsp-stable", overrides=OPEN_LOOP)
    true = starts(simulator)
    n, seeds = len(true), 400
    place = {session: i for i, session in enumerate(sorted(true, key=true.__getitem__))}
    orders, gaps = np.empty((seeds, n)), np.empty((seeds, n))
    for seed in range(seeds):
        drawn = starts(simulator.clone(resample_future=seed))
        orders[seed] = [place[session] for session in sorted(drawn, key=drawn.__getitem__)]
        gaps[seed] = np.diff(sorted(drawn.values()), prepend=simulator.now * 1e12)
    # Who comes first, and in the middle, is uniform: chi-square with n - 1 degrees of freedom, six deviations.
    for at in (0, n // 2):
        counts = np.bincount(orders[:, at].astype(int), minlength=n)
        expected = seeds / n
        assert ((counts - expected) ** 2 / expected).sum() < n - 1 + 6 * np.sqrt(2 * (n - 1))
    # Rank correlations with the true order, and those of the gaps with the true ones, are 0 on average.
    true_gaps = np.diff(sorted(true.values()), prepend=simulator.now * 1e12)
    for values, target in ((orders, np.arange(n)), (gaps, true_gaps)):
        correlation = np.mean([np.corrcoef(row, target)[0, 1] for row in values])
        assert abs(correlation) < 6 / np.sqrt((n - 1) * seeds)


def test_faults_to_come_are_not_known_and_those_in_progress_end():
    simulator = at_a_decision("failover", decisions=3)
    while simulator.up().all():
        simulator.route(int(np.flatnonzero(simulator.up())[0]))
        assert simulator.advance().kind == "ROUTE"
    drawn = simulator.clone(resample_future=0)
    at = drawn.tables["clock"]["next_fault"][0]
    down = np.flatnonzero(~simulator.up())
    assert drawn.tables["faults"]["worker"][at:].tolist() == down.tolist()
    run_out(drawn)
    assert drawn.up().all()


def test_refusals():
    simulator = at_a_decision("gsp-stable")
    with pytest.raises(ValueError, match="resample_future must be"):
        simulator.clone(resample_future=-1)
    with pytest.raises(RuntimeError, match="reset"):
        simulator.blank().clone(resample_future=1)
