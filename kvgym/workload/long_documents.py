"""Questions about long documents: many requests that share a long prefix and differ in a short end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kvgym._check import whole
from kvgym.workload.arrivals import poisson_arrivals
from kvgym.workload.checks import wholes
from kvgym.workload.random import ORDER, Seed, Stream
from kvgym.workload.workload import Workload


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
    context_tokens: int = 8192,
    reserve_tokens: int = 64,
) -> Workload:
    """Prompts made of a document and a question of their own, in random order; Poisson arrivals, the first at 0.

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
        rate: requests per second.
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
    longest = whole("context_tokens", context_tokens, reserve_tokens + output_tokens + question_tokens + 1)
    longest -= reserve_tokens + output_tokens + question_tokens

    n = documents * questions
    prompt = Stream(seed, ORDER).permutation(n)
    document = prompt // questions
    document_tokens = np.minimum(targets, longest)[document % len(targets)]
    return Workload.from_segments(
        np.arange(0, 2 * n + 1, 2),
        np.column_stack([document, documents + prompt]).ravel(),
        np.zeros(2 * n, np.int64),
        np.column_stack([document_tokens, np.full(n, question_tokens)]).ravel(),
        np.full(n, output_tokens),
        poisson_arrivals(seed, n, rate),
        page_size,
        tenants=document,
        name="long_documents",
    )
