"""Is fetching KV faster than computing it? Prints, per link of the catalogue, how long both take.

`python -m kvgym.cluster.links --model llama-3.1-8b --gpu h100 --tp 1 --tokens 1024 4096 16384`
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from tabulate import tabulate

from kvgym import _check, _command
from kvgym.cluster.catalogue import load_catalogue, worker_spec
from kvgym.cluster.cost import PS_PER_S, IterationCost
from kvgym.cluster.network import Link
from kvgym.cluster.spec import WorkerSpec

CHUNK_TOKENS = 8192
MOST_TOKENS = 2**17
PAGE_SIZES = (1, 16, 32, 64, 128, 256)


def compute_s(cost: IterationCost, tokens: int, known: int = 0) -> float:
    """Seconds of prefill that `tokens` tokens after `known` ones stand for: their share of full iterations.

    c G[C] / C + aS c (h + (c + 1) / 2) with C = 8,192: the estimate that decides on transfers
    (docs/semantics.md#t2-plan).
    """
    per_token = int(cost.g_ps(CHUNK_TOKENS)[CHUNK_TOKENS]) / CHUNK_TOKENS
    return (tokens * per_token + cost.coefficients_ps()[0] * tokens * (known + (tokens + 1) / 2)) / PS_PER_S


def break_even(cost: IterationCost, link: Link, kv_bytes_per_token: int, page_size: int = 1) -> int | None:
    """The fewest tokens, whole pages, that an idle link moves faster than a worker computes them.

    None: not even 131,072. Computing grows faster than linearly with the tokens, moving linearly: from there on moving
    is faster.
    """
    low, high = 0, MOST_TOKENS // page_size + 1
    while high - low > 1:
        middle = (low + high) // 2
        tokens = middle * page_size
        faster = link.seconds(tokens, kv_bytes_per_token, page_size) < compute_s(cost, tokens)
        low, high = (low, middle) if faster else (middle, high)
    return high * page_size if high * page_size <= MOST_TOKENS else None


def waited_s(cost: IterationCost, link: Link, tokens: int, rest: int, kv_bytes_per_token: int, page_size: int) -> float:
    """Seconds that a request waits for `tokens` tokens over an idle link with overlap while `rest` more are computed.

    What the computing does not hide, the latency at least (docs/semantics.md#t6-overlap).
    """
    moved = link.seconds(tokens, kv_bytes_per_token, page_size)
    return max(min(moved, link.latency_s), moved - compute_s(cost, rest, tokens))


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("kvgym.cluster.links", str(__doc__).split("\n")[0])
    parser.add_argument("--model", default="llama-3.1-8b")
    parser.add_argument("--gpu", default="h100")
    parser.add_argument("--tp", type=int, default=1)
    parser.add_argument("--tokens", type=int, nargs="+", default=[1024, 4096, 16384])
    parser.add_argument("--page-size", type=int, default=16, help="tokens of a page")
    parser.add_argument("--page-us", type=float, help="cost per page of every link, instead of the catalogue's")
    parser.add_argument("--rest", type=int, default=1024, help="tokens to compute while a transfer overlaps")
    return parser


def times(worker: WorkerSpec, links: Sequence[Link], counts: Sequence[int], page_size: int) -> str:
    """Per link, how long it takes for so many tokens, beside how long computing them takes."""
    size = worker.kv_bytes_per_token
    rows = [["computed", "", "", "", *(1e3 * compute_s(worker.cost, tokens) for tokens in counts), ""]]
    for link in links:
        moved = [1e3 * link.seconds(tokens, size, page_size) for tokens in counts]
        fewest = break_even(worker.cost, link, size, page_size) or f"> {MOST_TOKENS}"
        rows.append([link.name, 1e3 * link.latency_s, link.bytes_per_s / 1e9, 1e6 * link.page_s, *moved, fewest])
    heads = ["link", "latency (ms)", "GB/s", "us a page", *(f"{n:,} tokens (ms)" for n in counts), "break-even"]
    return tabulate(rows, heads, "github", floatfmt=("", ".3g", ".4g", ".3g", *([".3g"] * len(counts)), ""))


def bandwidths(worker: WorkerSpec, links: Sequence[Link]) -> str:
    """Effective bandwidth by page size of the links with a cost per page."""
    size = worker.kv_bytes_per_token
    rows = [
        [link.name, *(link.effective_bytes_per_s(size, page) / 1e9 for page in PAGE_SIZES)]
        for link in links
        if link.page_s > 0
    ]
    heads = ["GB/s in pages of", *(f"{page} tokens" for page in PAGE_SIZES)]
    return tabulate(rows, heads, "github", floatfmt=".3g")


def waits(worker: WorkerSpec, links: Sequence[Link], counts: Sequence[int], rest: int, page_size: int) -> str:
    """What is left to wait for if computing overlaps with the transfer."""
    size = worker.kv_bytes_per_token
    rows = [
        [link.name, *(1e3 * waited_s(worker.cost, link, tokens, rest, size, page_size) for tokens in counts)]
        for link in links
    ]
    return tabulate(rows, ["link", *(f"{n:,} tokens (ms)" for n in counts)], "github", floatfmt=".3g")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        worker = worker_spec(options.model, options.gpu, options.tp)
        links = list(load_catalogue().links.values())
        if options.page_us is not None:
            links = [replace(link, page_s=options.page_us / 1e6) for link in links]
        rest = _check.whole("--rest", options.rest, 0)
        first = times(worker, links, options.tokens, options.page_size)
        second, third = bandwidths(worker, links), waits(worker, links, options.tokens, rest, options.page_size)
    except ValueError as error:
        parser.error(str(error))
    about = f"{options.model} on {options.tp} x {options.gpu}: {worker.kv_bytes_per_token:,} bytes of KV per token"
    print(f"{about}, pages of {options.page_size} tokens\n\n{first}")
    if any(link.page_s > 0 for link in links):
        print(f"\nBandwidth that is left where a page costs time:\n\n{second}")
    print(f"\nTo wait for with overlap, {rest:,} more tokens being computed meanwhile:\n\n{third}")
    return 0


if __name__ == "__main__":
    _command.run(main)
