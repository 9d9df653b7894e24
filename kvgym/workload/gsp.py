"""GSP, "generated shared prefix": groups of prompts that share a system prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from kvgym._check import choice, finite, whole
from kvgym.workload.arrivals import poisson_arrivals
from kvgym.workload.checks import wholes
from kvgym.workload.random import ORDER, Seed, Stream
from kvgym.workload.workload import Workload


def gsp(
    seed: Seed,
    page_size: int,
    *,
    groups: int = 128,
    prompts_per_group: int = 32,
    prefix_ratio: float = 0.5,
    lengths: Sequence[int] = (512, 1024, 2048, 4096, 8192),
    output_tokens: int = 4,
    rate: float = 12.0,
    order: Literal["random", "grouped", "worst"] = "random",
    requests: int | None = None,
) -> Workload:
    """Prompts made of a group's shared prefix and a question of their own; Poisson arrivals, the first at 0.

    Each prompt is a session of its own; the tenant is the group. The order is a shuffle of all prompts, so that fewer
    prompts per group are not the first ones of more (use `requests` for that); the arrival times are.

    Args:
        seed: an integer >= 0 or a SeedSequence.
        page_size: tokens per page.
        groups: number of prefixes.
        prompts_per_group: questions for each prefix.
        prefix_ratio: share of a prompt that is the prefix, in [0, 1]; rounded to tokens.
        lengths: prompt lengths in tokens; group g has lengths[g % len(lengths)].
        output_tokens: output length; outputs are private.
        rate: requests per second.
        order: "random", "grouped" (group after group) or "worst" (prompt k of every group in turn: the cyclic order in
            which a least-recently-used cache that is a little too small never hits).
        requests: only the first ones, at most; default: all prompts of all groups.

    Raises:
        ValueError: for an argument outside these.
    """
    whole("groups", groups, 1)
    whole("prompts_per_group", prompts_per_group, 1)
    finite("prefix_ratio", prefix_ratio, 0.0, 1.0)
    whole("output_tokens", output_tokens, 1)
    choice("order", order, ("random", "grouped", "worst"))
    choices = wholes("lengths", lengths, None, 1)
    whole("the number of lengths", len(choices), 1)
    n_all = groups * prompts_per_group
    n = n_all if requests is None else min(n_all, whole("requests", requests, 1))
    if order == "random":
        prompt = Stream(seed, ORDER).permutation(n_all, n)
    elif order == "grouped":
        prompt = np.arange(n)
    else:
        prompt = np.arange(n_all).reshape(groups, prompts_per_group).T.ravel()[:n]
    group = prompt // prompts_per_group
    total = choices[group % len(choices)]
    prefix = np.array([round(prefix_ratio * int(length)) for length in choices])[group % len(choices)]
    return Workload.from_segments(
        np.arange(0, 2 * n + 1, 2),
        np.column_stack([group, groups + prompt]).ravel(),
        np.zeros(2 * n, np.int64),
        np.column_stack([prefix, total - prefix]).ravel(),
        np.full(n, output_tokens),
        poisson_arrivals(seed, n, rate),
        page_size,
        tenants=group,
        name="gsp",
    )
