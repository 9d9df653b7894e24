"""Short ways to write small cases that are computed by hand."""

from __future__ import annotations

import itertools

from tests.reference import RefCost, RefEngine, RefLink, RefNetwork, RefRequest, simulate

SIMPLE = RefCost(g=[100 + 10 * tokens for tokens in range(200)], a_s=0.0, c_n=0.0, c_b=0.0, q=0)  # D = 100 + 10 T
TWICE = RefCost([2 * g for g in SIMPLE.g], 0.0, 0.0, 0.0, 0)
LINK = RefLink(10, 2.0)  # 10 + 2 n ps for n tokens
A = (1, 2, 3, 4, 5, 6, 7, 8)
B = (21, 22, 23, 24, 25, 26, 27, 28)
SLOW = RefLink(110, 2.0)  # 126 ps for 8 tokens, just below the 130 of computing them

fresh = itertools.count(10_000)


def private(count):
    """Output tokens that nobody else uses."""
    return tuple(next(fresh) for _ in range(count))


def request(prompt, output=1, at=0, **kwargs):
    """A request with a private output of the given length."""
    return RefRequest(tuple(prompt), private(output), at, **kwargs)


def engine(page_size=1, schedule="mixed", chunk_tokens=16, max_running=8, **kwargs):
    return RefEngine(page_size, schedule, chunk_tokens, max_running, **kwargs)


def run(requests, pages, settings=None, evictor="lru", cost=SIMPLE, **kwargs):
    """Simulate on one worker."""
    return simulate(requests, [(pages, cost)], settings or engine(), evictor, [0] * len(requests), **kwargs)


def one_by_one(*prompts):
    """Requests with one output token each, far enough apart that each finds the worker idle."""
    return [request(prompt, at=10_000 * index) for index, prompt in enumerate(prompts)]


def play(requests, pages, route, link=None, nodes=None, settings=None, evictor="lru", cost=SIMPLE, **kwargs):
    """Simulate on workers with these pages, connected by one kind of link, each on a node of its own by default."""
    network = None if link is None else RefNetwork(nodes or tuple(range(len(pages))), link, link)
    workers = [(count, cost) for count in pages]
    return simulate(requests, workers, settings or engine(), evictor, route, network=network, **kwargs)


def times(result, index):
    """Arrival, admission and finish of a request."""
    record = result.records[index]
    return record.arrival_ps, record.admitted_ps, record.finish_ps


class Script:
    """Answers from a list; keeps the questions."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.questions = []

    def __call__(self, question):
        self.questions.append(question)
        return self.answers.pop(0)
