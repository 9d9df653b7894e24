"""A module with scenarios and recipes of one's own, as a user would have it: "tests.scenarios.own:shop"."""

from __future__ import annotations

import numpy as np

from kvgym import Scenario, Workload
from kvgym.workload import poisson_arrivals

WORKERS = [
    {"model": "llama-3.1-8b", "gpu": "l40", "count": 2},
    {"kv_tokens": 20_000, "cost": {"w": 14.0, "k": 0.05, "a_kv": 1e-5}},
]


def orders(seed, page_size, wanted, split, *, rate=20.0, shops=3):
    """Requests that share one of a few prefixes of 600 tokens."""
    rng = np.random.default_rng(seed)
    shop = rng.integers(shops, size=wanted)
    return Workload.from_segments(
        np.arange(0, 2 * wanted + 1, 2),
        np.column_stack([shop, shops + np.arange(wanted)]).ravel(),
        np.zeros(2 * wanted, int),
        np.column_stack([np.full(wanted, 600), rng.integers(20, 200, size=wanted)]).ravel(),
        rng.integers(1, 30, size=wanted),
        poisson_arrivals(seed, wanted, rate),
        page_size,
        tenants=shop,
    )


shop = Scenario(
    name="shop",
    text="orders in three shops",
    recipe="tests.scenarios.own:orders",
    recipe_args={"rate": 30.0},
    workers=WORKERS,
    engine={"max_running": 64},
    warmup_requests=10,
    episode_requests=60,
)


class Shops:
    """A name with a dot."""

    @staticmethod
    def large():
        return Scenario(**{**shop.to_dict(), "name": "large", "workers": WORKERS * 2})


def nothing():
    return "shop"


def short(seed, page_size, wanted, split):
    return orders(seed, page_size, 5, split)


def of_other_pages(seed, page_size, wanted, split):
    return orders(seed, page_size + 1, wanted, split)


def with_any(seed, page_size, wanted, split, **more):
    return orders(seed, page_size, wanted, split, **more)


def clumsy(seed, page_size, wanted, split, *, rate=None):
    return orders(seed, page_size, wanted, split, rate=rate + "1")


def of_three(seed, page_size, wanted):
    return orders(seed, page_size, wanted, "train")


def spawning(seed, page_size, wanted, split):
    (child,) = seed.spawn(1)
    return orders(child, page_size, wanted, split)
