"""What a reader of the paper should know: ties, accidents, and which parts of the rules matter."""

from __future__ import annotations

from .claims import NONE, ONE, Claim, Part
from .measures import Mean, Quotient, times
from .settings import CA_LRU, GSP, LBGR_RLT, TUNED_RLT, Run, Setting, gsp
from .trends import RATIOS, WORST, gain

ROUND_ROBIN = "round robin + LRU"
PRIME = gsp(
    "4 L40, 12 requests/s, prefix ratio 0.5, cyclic order of 127 groups",
    rate=12.0,
    order="worst",
    groups=127,
    prompts_per_group=33,
)
EXACT = Setting(f"{GSP.text}; the router hears of evictions", {"view": "exact"})
MIXED = Setting(f"{GSP.text}; prefills and decodes in one iteration", {"engine": {"schedule": "mixed"}})
_BEST = Run(LBGR_RLT, GSP)


def _tie() -> list[Claim]:
    """The rival's threshold sits on the prefix ratio of the load."""
    tuned = Run(TUNED_RLT, GSP)
    name = "cache-aware with threshold 0.3 + RLT"
    note = "the default of 0.5 is the load's prefix ratio: a coin decides for each prompt whether it passes"
    return [
        Claim(f"{name}: hit rate", "", NONE, GSP.text, Mean(tuned, "hit_rate"), "", note),
        *(
            Claim(f"{name} over LBGR + RLT: {text}", "", NONE, GSP.text, times(tuned, _BEST, metric), "x")
            for metric, text in (("ttft_p50", "P50 TTFT"), ("e2e_p50", "P50 latency"), ("e2e_p95", "P95 latency"))
        ),
        Claim(
            "cache-aware + LRU over LBGR + RLT: hit rate at prefix ratio 0.75",
            "",
            NONE,
            RATIOS["0.75"].text,
            times(Run(CA_LRU, RATIOS["0.75"]), Run(LBGR_RLT, RATIOS["0.75"]), "hit_rate"),
            "x",
            "away from its threshold the rival finds more hits than LBGR",
        ),
    ]


def _accident() -> list[Claim]:
    """128 groups in turn on four workers in turn."""
    return [
        Claim(
            "round robin + LRU in cyclic order: hit rate",
            "",
            NONE,
            WORST.text,
            Mean(Run(ROUND_ROBIN, WORST), "hit_rate"),
            "",
            "128 groups in turn are a multiple of 4 workers: each group has its worker by accident",
        ),
        Claim("the same with 127 groups", "", NONE, PRIME.text, Mean(Run(ROUND_ROBIN, PRIME), "hit_rate")),
        Claim("the same of LBGR + RLT", "", NONE, PRIME.text, Mean(Run(LBGR_RLT, PRIME), "hit_rate")),
    ]


def _parts() -> list[Claim]:
    """What LBGR is without this or that."""
    claims = []
    for pair, note in (
        ("LBGR, loads fade eight times as slowly + RLT", "255/256 every 20 ms in place of 31/32"),
        ("LBGR, loads do not fade + RLT", "released when a request is done, and not before"),
        ("LBGR, nothing learned + RLT", "its costs are 37 times the true ones: what is learned is small beside them"),
        ("LBGR, true costs + RLT", "the bias trap: what is learned outweighs the rest, and all go to one worker"),
        ("LBGR, the paper's form + RLT", "tokens, true costs, a regression on hits, misses and load"),
        ("LBGR, bounded + RLT", "the same, its correction bounded by half of the estimate (ours)"),
    ):
        text = f"{pair} over LBGR + RLT: P50 latency"
        claims.append(Claim(text, "", NONE, GSP.text, times(Run(pair, GSP), _BEST, "e2e_p50"), "x", note))
    exact = Mean(Run(LBGR_RLT, EXACT), "hit_rate")
    claims.append(Claim("LBGR + RLT that hears of evictions: hit rate", "", NONE, EXACT.text, exact))
    return claims


def _schedule() -> list[Claim]:
    """What the order of prefills and decodes does to latencies."""
    mixed = Run(LBGR_RLT, MIXED)
    note = (
        "the released code runs with SGLang 0.4.6, prefills first; their latencies lie nearer to the mixed schedule's"
    )
    return [
        Claim(
            "LBGR + RLT, mixed schedule: P50 latency",
            "2.26",
            ONE,
            MIXED.text,
            Quotient(((mixed, "e2e_p50"),)),
            "s",
            note,
        ),
        Claim("LBGR + RLT, mixed schedule: P50 TTFT", "1.09", ONE, MIXED.text, Quotient(((mixed, "ttft_p50"),)), "s"),
        Claim(
            "cache-aware + LRU over LBGR + RLT, mixed schedule: P50 latency", "11.8", ONE, MIXED.text, gain(MIXED), "x"
        ),
    ]


PART = Part("Caveats", (*_tie(), *_accident(), *_parts(), *_schedule()))
