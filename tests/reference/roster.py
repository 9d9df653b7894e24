"""The evictors by name."""

from __future__ import annotations

from .asked import Asked, Form
from .evictors import Belady, Context, Evictor, Lru, LruNode, Random, Rlt, RltCode
from .keyed import (
    Fifo,
    Gdsf,
    GhostSlru,
    Lfu,
    LruK,
    Mru,
    Priority,
    Slru,
    SlruTwoHits,
    TailLru,
    Wlfu,
    WorkloadAware,
)
from .queues import Arc, Continuum, Lhd, S3Fifo

# Those that a decision can name: they share the stamps, marks and uses that every worker keeps.
RULES = {
    "lru": Lru,
    "lru_node": LruNode,
    "random": Random,
    "rlt": Rlt,
    "fifo": Fifo,
    "lfu": Lfu,
    "mru": Mru,
    "slru": Slru,
    "ghost_slru": GhostSlru,
    "wlfu": Wlfu,
    "tail_lru": TailLru,
    "gdsf": Gdsf,
    "workload_aware": WorkloadAware,
    "slru_two_hits": SlruTwoHits,
    "priority": Priority,
    "lru_k": LruK,
}
# `rlt_code` keeps marks in its own way, `belady` knows the future; those of C8 keep queues of what they evict.
QUEUES = {"arc": Arc, "s3_fifo": S3Fifo, "lhd": Lhd, "continuum": Continuum}
ALONE = {"rlt_code": RltCode, "belady": Belady, **QUEUES}
AGENT = "agent"


def make_evictors(name: str, context: Context, form: Form | None) -> tuple[Evictor, dict[str, Evictor]]:
    """The evictor of one worker, and those that a decision can name there.

    Args:
        name: A name in RULES or ALONE, or AGENT.
        context: What the evictors may look at.
        form: How AGENT asks.
    """
    rules: dict[str, Evictor] = {rule: make(context) for rule, make in RULES.items()}
    if name == AGENT:
        assert form is not None
        return Asked(context, form, rules), rules
    return rules[name] if name in rules else ALONE[name](context), rules


def validate(name: str, form: Form | None, has_rules: bool) -> None:
    """Raise ValueError for what cannot be combined."""
    if name not in {*RULES, *ALONE, AGENT}:
        raise ValueError(f"unknown evictor {name!r}")
    if (name == AGENT) != (form is not None):
        raise ValueError("the evictor 'agent' needs somebody to ask, and no other does")
    if form is not None and (form.candidates < 0 or form.candidates % 2):
        raise ValueError("candidates must be an even number")
    if form is not None and form.quantum not in ("leaf", 1):
        raise ValueError("quantum must be 'leaf' or 1")
    if has_rules and name == "rlt_code":
        raise ValueError("the marks of rlt_code are not those that other evictors read")
    if has_rules and name in QUEUES:
        raise ValueError(f"{name} does all evictions of its workers")
