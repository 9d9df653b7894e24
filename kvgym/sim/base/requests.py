"""Tokens and pages of a request."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import classes, config, progress, requests


@kernel
def known_tokens(s, q):
    """Prompt and emitted tokens."""
    return requests(s)[q].prompt_tokens + progress(s)[q].emitted


@kernel
def hit_tokens(s, resident, tokens):
    """Tokens of `tokens` that hit where `resident` pages of them are there: the last one is always computed."""
    size = config(s).page_size
    return min(resident * size, tokens - 1) // size * size


@kernel
def pages_for(s, tokens):
    """Pages that hold `tokens` tokens, the last one perhaps not full."""
    size = config(s).page_size
    return (tokens + size - 1) // size


@kernel
def was_scored(s, q):
    """Whether request `q` counts: it arrived after the warm-up."""
    return progress(s)[q].decision >= 0


@kernel
def class_of(s, q):
    """Number of the service class of request `q`: of a single class all are."""
    return np.int64(requests(s)[q].service_class) if len(classes(s)) > 1 else np.int64(0)
