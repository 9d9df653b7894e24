"""Snapshots of the engine's metrics, views and the event log, against cases by hand."""

from __future__ import annotations

import pytest

from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.sim import Simulator
from kvgym.workload import Workload

COST = IterationCost(overhead_ms=100.0, k=10.0, p=1.0)  # 0.1 s and 0.01 s per token
METRICS = ("seen_queued", "seen_running", "seen_queued_tokens", "seen_kv_use", "seen_gen_tps")


def simulator(prompts, outputs, arrivals, pages, *, engine=None, **options):
    """One worker at the start of a workload of private outputs."""
    engine = EngineSpec(page_size=1, **{"chunk_tokens": 16, "max_running": 8, **(engine or {})})
    sim = Simulator(ClusterSpec.uniform(1, pages, COST), engine, debug=True, log_iterations=True, **options)
    sim.reset(Workload.from_tokens(prompts, outputs, arrivals, 1))
    return sim


def snapshots(sim):
    """Per decision the time of the snapshot and what it shows."""
    seen = []
    while sim.advance().kind == "ROUTE":
        row = sim.tables["workers"][0]
        seen.append((sim.tables["clock"]["snapshot_ps"][0] / 1e12, *(row[name].item() for name in METRICS)))
        sim.route(0)
    return seen


def test_metrics_are_those_of_the_last_multiple_of_the_period():
    # Request 0: 5 tokens until 0.15, decodes until 0.26 and 0.37. Request 1 (4 tokens) comes at 0.26 and finds 3 free
    # pages: it waits until 0.37, and request 2 (7 tokens), which comes at 0.3, until request 1 has ended at 0.51.
    prompts = [range(5), range(10, 14), range(20, 27), [30]]
    sim = simulator(prompts, [3, 1, 1, 1], [0.0, 0.26, 0.3, 0.5], 10, metrics_period_s=0.25)
    assert snapshots(sim) == [
        (0.0, 0, 0, 0, 0.0, 0.0),
        (0.25, 0, 1, 0, 0.6, pytest.approx(1 / 0.11)),  # 5 pages and the one that the decode took
        (0.25, 0, 1, 0, 0.6, pytest.approx(1 / 0.11)),
        (0.5, 1, 1, 7, 0.4, 0.0),  # before the arrival at 0.5; a prefill generates nothing
    ]
    assert sim.records()["admitted"].tolist() == pytest.approx([0.0, 0.37, 0.51, 0.51])


def test_metrics_inside_a_run_of_decodes():
    # A prefill until 0.11 and decodes of 0.11 s: eight have ended before 1.0, and the ninth has its page.
    # A snapshot at an iteration's end (0.33) shows the iteration before it: its two decodes have two pages by then.
    sim = simulator([[1], [2]], [20, 1], [0.0, 1.05], 40, metrics_period_s=0.5)
    assert snapshots(sim)[1] == (1.0, 0, 1, 0, 10 / 40, pytest.approx(1 / 0.11))
    sim = simulator([[1], [2]], [20, 1], [0.0, 0.4], 40, metrics_period_s=0.33)
    assert snapshots(sim)[1] == (0.33, 0, 1, 0, 3 / 40, pytest.approx(1 / 0.11))


def test_history_drops_the_tail_of_the_oldest():
    # Room for 4 pages. [1 2 3] and [7 8]: the first one's tail goes. [1 2] touches what is left of it. [5]: now the
    # tail of [7 8] is the oldest. The cache itself forgets nothing.
    prompts = [[1, 2, 3], [7, 8], [1, 2], [5], [1, 2, 3, 4], [7, 8, 9]]
    sim = simulator(prompts, [1] * 6, range(6), 40, view="history", history_pages=4)
    hits = []
    while (decision := sim.advance()).kind == "ROUTE":
        hits.append([sim.visible_hit(0, q) for q in range(6)])
        sim.route(0)
        assert decision.request == len(hits) - 1
    assert hits == [
        [0, 0, 0, 0, 0, 0],
        [2, 0, 1, 0, 3, 0],
        [2, 1, 1, 0, 2, 2],  # 1 2 7 8; the last token of a prompt is always computed
        [2, 1, 1, 0, 2, 2],
        [2, 1, 1, 0, 2, 1],  # 1 2 5 7
        [2, 0, 1, 0, 3, 0],  # 1 2 3 4
    ]
    assert sim.records()["hit_tokens"].tolist() == [0, 0, 1, 0, 3, 2]


def test_a_prompt_in_flight_counts_for_others_alone():
    # 4 pages. [1 2 3] is done; [4 5] and [4 5 6] come at 10, one after the other. The first needs 2 pages and evicts 3,
    # while the second one's prompt counts; the second finds [4 5] resident, and evicts another one.
    options = {"view": "speculative", "evictor": "agent", "engine": {"max_running": 1}}
    sim = simulator([[1, 2, 3], [4, 5], [4, 5, 6]], [1, 1, 1], [0, 10, 10], 4, **options)
    seen = []
    while (decision := sim.advance()).kind != "DONE":
        seen.append((decision.kind, decision.request, [sim.visible_hit(0, q) for q in range(3)]))
        if decision.kind == "ROUTE":
            sim.route(0)
        else:
            sim.evict(0)
    assert seen == [
        ("ROUTE", 0, [0, 0, 0]),
        ("ROUTE", 1, [2, 0, 0]),
        ("ROUTE", 2, [2, 0, 2]),
        ("EVICT", 1, [2, 1, 2]),
        ("EVICT", 2, [2, 1, 2]),
    ]


@pytest.mark.parametrize(
    ("prompts", "outputs", "pages", "engine", "log"),
    [
        # Two places; the third request gets one when the first has ended.
        (
            [[1], [2, 3], [4]],
            [2, 3, 1],
            20,
            {"max_running": 2},
            [
                (0.0, 0.13, 3, 2, 0, 0, 1, 0, "places"),
                (0.13, 0.12, 0, 0, 2, 5, 1, 0, "places"),
                (0.25, 0.12, 1, 1, 1, 4, 0, 0, ""),
            ],
        ),
        # Chunks of 4: the second request starts with the rest of the second iteration's budget.
        (
            [range(6), [9]],
            [1, 1],
            20,
            {"chunk_tokens": 4, "max_running": 2},
            [(0.0, 0.14, 4, 1, 0, 0, 1, 0, "budget"), (0.14, 0.13, 3, 2, 0, 0, 0, 0, "")],
        ),
        # 6 of 8 pages are taken: the third request is refused, and tried again when the others have ended.
        (
            [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
            [2, 2, 1],
            8,
            {},
            [
                (0.0, 0.16, 6, 2, 0, 0, 1, 0, "pages"),
                (0.16, 0.12, 0, 0, 2, 8, 1, 0, "retry"),
                (0.28, 0.13, 3, 1, 0, 0, 0, 0, ""),
            ],
        ),
        # Both grow: the third decode of the first preempts the second, whose 5 known tokens come back at 0.50.
        (
            [[1, 2, 3], [4, 5, 6]],
            [4, 4],
            8,
            {},
            [
                (0.0, 0.16, 6, 2, 0, 0, 0, 0, ""),
                (0.16, 0.12, 0, 0, 2, 8, 0, 0, ""),
                (0.28, 0.11, 0, 0, 1, 5, 1, 1, "preemption"),
                (0.39, 0.11, 0, 0, 1, 6, 1, 0, "pages"),
                (0.50, 0.13, 3, 1, 0, 0, 0, 0, ""),
                (0.63, 0.11, 0, 0, 1, 6, 0, 0, ""),
            ],
        ),
        # The second request's last chunk waits for the first one's pages; the third may not overtake it.
        (
            [[1, 2, 3], range(10, 18), [20]],
            [4, 1, 1],
            11,
            {"chunk_tokens": 4, "max_running": 4},
            [
                (0.0, 0.14, 4, 2, 0, 0, 1, 0, "budget"),
                (0.14, 0.14, 3, 1, 1, 4, 1, 0, "budget"),
                (0.28, 0.11, 0, 0, 1, 5, 1, 0, "prefill"),
                (0.39, 0.11, 0, 0, 1, 6, 1, 0, "prefill"),
                (0.50, 0.14, 4, 1, 0, 0, 1, 0, "budget"),
                (0.64, 0.11, 1, 1, 0, 0, 0, 0, ""),
            ],
        ),
    ],
    ids=["places", "budget", "pages", "preemption", "prefill"],
)
def test_event_log(prompts, outputs, pages, engine, log):
    sim = simulator(prompts, outputs, [0.0] * len(prompts), pages, engine=engine, router="round_robin")
    sim.run()
    table = sim.iterations()
    columns = "worker start duration prefill_tokens chunks decodes kv_tokens queued preempted wait_reason"
    assert " ".join(table.dtype.names) == columns
    assert set(table["worker"]) == {0}
    found = [row[1:] for row in table.tolist()]
    for row, expected in zip(found, log, strict=True):
        assert row[:2] == pytest.approx(expected[:2], abs=1e-12)
        assert row[2:] == expected[2:]
