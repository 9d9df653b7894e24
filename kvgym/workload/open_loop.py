"""Generators of requests that arrive on their own: with shared prefixes, about long documents, or all equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kvgym._check import choice, finite, whole
from kvgym.workload.arrivals import Process, arrive, slotted_arrivals
from kvgym.workload.checks import wholes
from kvgym.workload.random import ORDER, Seed, Stream
from kvgym.workload.workload import Workload

Ints = NDArray[np.int64]


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
    arrivals: Process | None = None,
    order: Literal["random", "grouped", "worst"] = "random",
    requests: int | None = None,
) -> Workload:
    """GSP, "generated shared prefix": prompts made of a group's prefix and a question of their own; Poisson arrivals.

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
        rate: requests per second; the first one arrives at 0.
        arrivals: another process than Poisson, see `arrive`; its "rate" goes before `rate`.
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
    prefixes = np.array([round(prefix_ratio * int(length)) for length in choices])
    parts = np.column_stack([prefixes, choices - prefixes])[group % len(choices)]
    runs = _two_runs(group, groups + prompt, parts)
    outputs, at = np.full(n, output_tokens), arrive(seed, n, arrivals, rate)
    return Workload.from_segments(*runs, outputs, at.seconds, page_size, tenants=group, name="gsp")


def long_documents(
    seed: Seed,
    page_size: int,
    *,
    documents: int = 105,
    questions: int = 19,
    lengths: Sequence[int] = (1024, 2048, 4096, 8192),
    question_tokens: int = 32,
    output_tokens: int = 4,
    rate: float = 12.0,
    arrivals: Process | None = None,
    context_tokens: int = 8192,
    reserve_tokens: int = 64,
) -> Workload:
    """Prompts made of a document and a question of their own, in random order; Poisson arrivals.

    Document g is cut to min(lengths[g % len(lengths)], context_tokens - reserve_tokens - output_tokens -
    question_tokens) tokens. Each prompt is a session of its own; the tenant is the document. The order is a shuffle of
    all prompts, so that fewer prompts are not the first ones of more prompts; the arrival times are.

    Args:
        seed: an integer >= 0 or a SeedSequence.
        page_size: tokens per page.
        documents: number of documents.
        questions: questions about each document.
        lengths: target lengths of documents in tokens.
        question_tokens: tokens of each question.
        output_tokens: output length; outputs are private.
        rate: requests per second; the first one arrives at 0.
        arrivals: another process than Poisson, see `arrive`; its "rate" goes before `rate`.
        context_tokens: the model's context, which cuts the longest documents.
        reserve_tokens: part of the context that is left unused.

    Raises:
        ValueError: for an argument outside these.
    """
    whole("documents", documents, 1)
    whole("questions", questions, 1)
    whole("question_tokens", question_tokens, 1)
    whole("output_tokens", output_tokens, 1)
    whole("reserve_tokens", reserve_tokens, 0)
    targets = wholes("lengths", lengths, None, 1)
    whole("the number of lengths", len(targets), 1)
    rest = reserve_tokens + output_tokens + question_tokens
    longest = whole("context_tokens", context_tokens, rest + 1) - rest
    n = documents * questions
    prompt = Stream(seed, ORDER).permutation(n)
    document = prompt // questions
    parts = np.column_stack([np.minimum(targets, longest)[document % len(targets)], np.full(n, question_tokens)])
    runs = _two_runs(document, documents + prompt, parts)
    outputs, at = np.full(n, output_tokens), arrive(seed, n, arrivals, rate)
    return Workload.from_segments(*runs, outputs, at.seconds, page_size, tenants=document, name="long_documents")


def equal_requests(
    seed: Seed,
    page_size: int,
    *,
    requests: int = 1000,
    prompt_tokens: int = 1024,
    output_tokens: int = 16,
    slot_s: float = 0.1,
    probability: float = 0.5,
    arrivals: Process | None = None,
) -> Workload:
    """Requests of one size without shared tokens, at slotted Bernoulli arrivals (see `slotted_arrivals`) or others.

    The plainest queueing system, for checks against known results. Fewer requests are the first ones of more requests.

    Args:
        seed: an integer >= 0 or a SeedSequence.
        page_size: tokens per page.
        requests: number of requests.
        prompt_tokens: prompt length.
        output_tokens: output length.
        slot_s: length of a slot in seconds, > 0.
        probability: of an arrival at a slot's boundary, in (0, 1].
        arrivals: another process instead, with its rate, see `arrive`.

    Raises:
        ValueError: for an argument outside these.
    """
    whole("requests", requests, 1)
    whole("prompt_tokens", prompt_tokens, 1)
    outputs = np.full(requests, whole("output_tokens", output_tokens, 1))
    splits, offsets, prompts = np.arange(requests + 1), np.zeros(requests, np.int64), np.full(requests, prompt_tokens)
    slotted = arrivals is None
    at = slotted_arrivals(seed, requests, slot_s, probability) if slotted else arrive(seed, requests, arrivals).seconds
    return Workload.from_segments(splits, splits[:-1], offsets, prompts, outputs, at, page_size, name="equal_requests")


def _two_runs(prefix: Ints, question: Ints, lengths: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Row splits, segments, offsets and lengths of prompts of two segments each; `lengths`: (n, 2) tokens."""
    n = len(prefix)
    segments = np.column_stack([prefix, question]).ravel()
    return np.arange(0, 2 * n + 1, 2), segments, np.zeros(2 * n, np.int64), lengths.ravel()
