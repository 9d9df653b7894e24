"""Link arithmetic: the estimates behind transfers, by hand and by brute force; the command."""

import pytest

from kvgym.cluster import IterationCost, Link, load_catalogue, worker_spec
from kvgym.cluster.links import break_even, compute_s, main, waited_s


def test_compute_s_is_the_share_of_a_full_iteration():
    # 8,192 tokens take 1 + 8,192 x 0.01 ms = 82.92 ms, so a token 82.92 / 8,192 ms; attention 1e-6 ms per pair.
    cost = IterationCost(c0=1.0, k=0.01, p=1.0, a_s=1e-6)
    assert compute_s(cost, 100) == pytest.approx((100 * 82.92 / 8192 + 1e-6 * 100 * 50.5) / 1e3, rel=1e-12)
    assert compute_s(cost, 100, 1000) == pytest.approx((100 * 82.92 / 8192 + 1e-6 * 100 * 1050.5) / 1e3, rel=1e-12)


@pytest.mark.parametrize("gb_per_s", [1.25, 2.0, 7.8, 36.0])
@pytest.mark.parametrize("latency_ms", [0.01, 1.84])
def test_break_even_is_the_first_count_that_pays(gb_per_s, latency_ms):
    worker = worker_spec("llama-3.1-8b", "h100")
    link = Link(latency_ms / 1e3, gb_per_s * 1e9)
    size = worker.kv_bytes_per_token
    found = break_even(worker.cost, link, size)
    pays = [n for n in range(1, 3000) if link.seconds(n, size) < compute_s(worker.cost, n)]
    if found is None or found >= 3000:
        assert pays == []
    else:
        assert pays == list(range(found, 3000))


def test_break_even_in_pages():
    worker = worker_spec("llama-3.1-8b", "h100")
    link = Link(1e-3, 36e9, page_s=100e-6)
    size = worker.kv_bytes_per_token
    pays = [n for n in range(16, 3000, 16) if link.seconds(n, size, 16) < compute_s(worker.cost, n)]
    assert pays[0] > 16 and break_even(worker.cost, link, size, 16) == pays[0]
    assert pays == list(range(pays[0], 3000, 16))
    assert break_even(worker.cost, Link(1e-3, 36e9, page_s=0.1), size, 16) is None


def test_what_overlap_leaves_to_wait_for():
    # 10 ms per 1,000 tokens of prefill; 1,000 tokens of 1 kB at 0.1 GB/s take 10 ms and 2 ms.
    cost, link = IterationCost(k=0.01, p=1.0), Link(0.002, 1e8)
    assert waited_s(cost, link, 1000, 0, 1000, 16) == pytest.approx(0.012)
    assert waited_s(cost, link, 1000, 400, 1000, 16) == pytest.approx(0.008)
    assert waited_s(cost, link, 1000, 5000, 1000, 16) == pytest.approx(0.002)


def test_every_link_carries_its_source():
    for name, link in load_catalogue().links.items():
        assert link.name == name and len(link.source) > 20
        assert link.seconds(0, 131_072) == pytest.approx(link.latency_s)


def test_the_command(capsys):
    assert main(["--tokens", "1000"]) == 0
    out = capsys.readouterr().out
    assert "131,072 bytes of KV per token" in out and "nvlink-h100" in out
    row = next(line for line in out.splitlines() if "pcie-gen5" in line)
    # 131 MB at 50 GB/s and 0.01 ms: 2.63 ms.
    assert "2.63" in row


def test_the_command_with_a_cost_per_page(capsys):
    assert main(["--tokens", "1024", "--page-size", "64", "--page-us", "1000", "--rest", "0"]) == 0
    times, bandwidths, waits = (
        next(line for line in table.splitlines() if "pcie-gen5" in line)
        for table in capsys.readouterr().out.split("\n\n")[1::2]
    )
    # 134 MB at 50 GB/s, 0.01 ms and 16 ms for 16 pages; with nothing to compute, overlap hides nothing.
    assert "18.7" in times and "18.7" in waits
    # A page of 16 tokens is 2.1 MB: 0.042 ms by itself, with 1 ms 2.01 GB/s.
    assert "2.01" in bandwidths


def test_the_command_without_a_cost_per_page(capsys):
    assert main(["--page-us", "0"]) == 0
    assert "Bandwidth that is left" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--page-us", "-1"], "page_s must be a finite number from 0 to 1"),
        (["--page-size", "0"], "page_size must be an integer >= 1, got 0"),
        (["--rest", "-5"], "--rest must be an integer >= 0, got -5"),
    ],
)
def test_bad_options(options, message, capsys):
    with pytest.raises(SystemExit):
        main(options)
    assert message in capsys.readouterr().err


def test_the_command_says_what_there_is(capsys):
    with pytest.raises(SystemExit):
        main(["--model", "nope"])
    assert "llama-3.1-8b" in capsys.readouterr().err
