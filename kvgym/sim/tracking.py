"""Which structures an evictor needs to be kept while time passes; what nobody asks for costs nothing."""

from __future__ import annotations

from kvgym.sim.kernels.rules import ASK, BELADY, FIFO, GHOST_SLRU, LRU, LRU_NODE, RANDOM, RLT, RLT_CODE


def tracked(evictor: int, candidates: int) -> dict[str, int]:
    """Flags of ``tables.CONFIG`` for an evictor; an agent that names rules (no candidates) needs them all."""
    asks = evictor == ASK
    any_rule = asks and candidates == 0
    return {
        "tracks_leaves": evictor not in (LRU, LRU_NODE, FIFO),
        "tracks_boundaries": asks or evictor in (LRU_NODE, RLT_CODE),
        "tracks_marks": asks or evictor in (RLT, RLT_CODE),
        "marks_as_code": evictor == RLT_CODE,
        "tracks_spans": asks or evictor not in (LRU, LRU_NODE, RANDOM, RLT, RLT_CODE, BELADY),
        "tracks_births": any_rule or evictor == FIFO,
        "tracks_ghosts": any_rule or evictor == GHOST_SLRU,
    }
