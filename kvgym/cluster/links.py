"""Is fetching KV faster than computing it? Prints, per link of the catalogue, how long both take.

`python -m kvgym.cluster.links --model llama-3.1-8b --gpu h100 --tp 1 --tokens 1024 4096 16384`
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tabulate import tabulate

from kvgym import _command
from kvgym.cluster.catalogue import load_catalogue, worker_spec
from kvgym.cluster.cost import PS_PER_S, IterationCost
from kvgym.cluster.network import Link

CHUNK_TOKENS = 8192
MOST_TOKENS = 2**17


def compute_s(cost: IterationCost, tokens: int, known: int = 0) -> float:
    """Seconds of prefill that `tokens` tokens after `known` ones stand for: their share of full iterations.

    c G[C] / C + aS c (h + (c + 1) / 2) with C = 8,192: the estimate that decides on transfers
    (docs/semantics.md#t2-plan).
    """
    per_token = int(cost.g_ps(CHUNK_TOKENS)[CHUNK_TOKENS]) / CHUNK_TOKENS
    return (tokens * per_token + cost.coefficients_ps()[0] * tokens * (known + (tokens + 1) / 2)) / PS_PER_S


def break_even(cost: IterationCost, link: Link, kv_bytes_per_token: int) -> int | None:
    """The fewest tokens that an idle link moves faster than a worker computes them; None: not even 131,072.

    Computing grows faster than linearly with the tokens, moving linearly: from there on moving is faster.
    """
    low, high = 0, MOST_TOKENS + 1
    while high - low > 1:
        middle = (low + high) // 2
        faster = link.seconds(middle, kv_bytes_per_token) < compute_s(cost, middle)
        low, high = (low, middle) if faster else (middle, high)
    return high if high <= MOST_TOKENS else None


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("kvgym.cluster.links", str(__doc__).split("\n")[0])
    parser.add_argument("--model", default="llama-3.1-8b")
    parser.add_argument("--gpu", default="h100")
    parser.add_argument("--tp", type=int, default=1)
    parser.add_argument("--tokens", type=int, nargs="+", default=[1024, 4096, 16384])
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        worker = worker_spec(options.model, options.gpu, options.tp)
        size = worker.kv_bytes_per_token
        computed = [compute_s(worker.cost, tokens) for tokens in options.tokens]
        rows = [
            [link.name, 1e3 * link.latency_s, link.bytes_per_s / 1e9]
            + [1e3 * link.seconds(tokens, size) for tokens in options.tokens]
            + [break_even(worker.cost, link, size) or f"> {MOST_TOKENS}"]
            for link in load_catalogue().links.values()
        ]
    except ValueError as error:
        parser.error(str(error))
    heads = ["link", "latency (ms)", "GB/s", *(f"{tokens:,} tokens (ms)" for tokens in options.tokens), "break-even"]
    rows.insert(0, ["computed", "", "", *(1e3 * seconds for seconds in computed), ""])
    print(f"{options.model} on {options.tp} x {options.gpu}: {size:,} bytes of KV per token\n")
    print(tabulate(rows, heads, "github", floatfmt=("", ".3g", ".4g", *([".3g"] * len(options.tokens)), "")))
    return 0


if __name__ == "__main__":
    _command.run(main)
