"""The abstract's four ratios, and those beside them: in which setting each can occur, and how large it gets."""

from __future__ import annotations

from .claims import ABSTRACT, NONE, ONE, TWO, Claim, Part, sweep
from .measures import Extreme, Mean, Measure, times
from .settings import CA_LRU, GSP, LBGR_RLT, RANDOM_LRU, RANDOM_RLT, Run, Setting, gsp
from .trends import ALL_RANDOM, ALL_WORST, MEMORY, WORST

FLEETS = tuple(
    gsp(f"{workers} L40, {rate} requests/s, prefix ratio 0.5, random order", workers=workers, rate=float(rate))
    for workers, rate in ((2, 5), (2, 6), (3, 8), (3, 9), (5, 13), (5, 14), (5, 15), (6, 16), (6, 17), (6, 18), (6, 20))
)
"""Numbers of workers and rates of the paper's range near the border of overload, beside those of the trends."""


def _alone(order: str, groups: int, kv: int, share: float) -> Setting:
    """One worker that always has a queue: what it does in a second depends on its hits alone."""
    text = f"1 L40 with {kv:,} tokens of KV memory, {groups} groups, prefix ratio {share}, {order} order"
    requests = 2048 if order == "random" else 32 * groups
    cyclic = {"order": "worst", "groups": groups} if order != "random" else {}
    return gsp(text, workers=1, worker={"kv_tokens": kv}, requests=requests, rate=RATE, prefix_ratio=share, **cyclic)


RATE = 12.0
ALONE_RANDOM = tuple(_alone("random", 128, kv, share) for kv in MEMORY for share in (0.5, 0.8, 0.9))
ALONE_CYCLIC = tuple(
    _alone("cyclic", groups, kv, share) for groups in (32, 64, 128) for kv in MEMORY for share in (0.5, 0.8, 0.9)
)
CLIFF = {
    f"{kv:,}": _alone("cyclic", 64, kv, 0.8)
    for kv in (95_000, 115_000, 131_000, 150_000, 168_000, 180_000, 192_000, 198_000, 205_000)
}
"""One worker around the size of a round of all 64 groups."""
CYCLE = CLIFF["168,000"]


def beside(popular: float) -> Setting:
    """Four popular groups beside the cycle of `CYCLE`.

    Args:
        popular: Their share of the requests.
    """
    cycle = {**CYCLE.overrides["recipe_args"], "rate": RATE * (1 - popular)}
    few = {"groups": 4, "prompts_per_group": 1024, "prefix_ratio": 0.8, "rate": RATE * popular}
    parts = [{"recipe": "gsp", "recipe_args": one} for one in (cycle, few)]
    text = f"{CYCLE.text}, and {100 * popular:.0f} % of the requests of four popular groups"
    return Setting(text, {**CYCLE.overrides, "recipe": "mix", "recipe_args": {"parts": parts}})


ONE_WORKER = (RANDOM_LRU, RANDOM_RLT)
BESIDE = {f"{100 * share:.0f} %": beside(share) for share in (0.05, 0.1, 0.15, 0.2, 0.3)}


def _largest(settings: tuple[Setting, ...], slow: str, fast: str, metric: str) -> Measure:
    return Extreme(tuple((one.text, times(Run(slow, one), Run(fast, one), metric)) for one in settings))


def _rlt(setting: Setting, metric: str) -> Measure:
    """RLT over LRU on one worker."""
    return times(Run(RANDOM_RLT, setting), Run(RANDOM_LRU, setting), metric)


def _hits() -> list[Claim]:
    """6.92 times the hit rate: RLT over LRU on one worker."""
    alone = "one worker, RLT over LRU: hit rate"
    in_random = _largest(ALONE_RANDOM, RANDOM_RLT, RANDOM_LRU, "hit_rate")
    note = "not of the paper's range: the ratio is finite because LRU hits the popular ones"
    return [
        Claim(f"{alone}, random order, largest", "6.92", ABSTRACT, "", in_random, "x"),
        Claim(f"{alone}, cyclic order", "6.92", ABSTRACT, CYCLE.text, _rlt(CYCLE, "hit_rate"), "x", "LRU never hits"),
        Claim("RLT's hit rate there", "", NONE, CYCLE.text, Mean(Run(RANDOM_RLT, CYCLE), "hit_rate")),
        *(
            Claim(f"{alone}, {share} popular", "6.92", ABSTRACT, one.text, _rlt(one, "hit_rate"), "x", note)
            for share, one in BESIDE.items()
        ),
    ]


def _throughput() -> list[Claim]:
    """77.4 % more throughput: RLT over LRU on one worker."""
    alone = "one worker, RLT over LRU: throughput"
    metric = "request_throughput"
    half = tuple(one for one in ALONE_CYCLIC if one.overrides["recipe_args"]["prefix_ratio"] == 0.5)
    return [
        Claim(f"{alone}, {name}", "1.774", ABSTRACT, "", _largest(some, RANDOM_RLT, RANDOM_LRU, metric), "x")
        for name, some in (
            ("random order, largest", ALONE_RANDOM),
            ("cyclic order, prefix ratio 0.5, largest", half),
            ("cyclic order, any ratio, largest", ALONE_CYCLIC),
        )
    ] + [
        Claim(f"{alone}, {share} popular", "1.774", ABSTRACT, one.text, _rlt(one, metric), "x")
        for share, one in BESIDE.items()
    ]


def _latency() -> list[Claim]:
    """11.96 times lower latency and 14.06 times lower TTFT, LBGR + RLT against cache-aware + LRU."""
    claims = []
    for metric, name, theirs in (("e2e_p50", "P50 latency", "11.96"), ("ttft_p50", "P50 TTFT", "14.06")):
        text = f"cache-aware + LRU over LBGR + RLT: {name}"
        here = times(Run(CA_LRU, GSP), Run(LBGR_RLT, GSP), metric)
        claims += [
            Claim(text, theirs, ABSTRACT, GSP.text, here, "x"),
            Claim(
                f"{text}, largest, random order",
                theirs,
                ABSTRACT,
                "",
                _largest(ALL_RANDOM + FLEETS, CA_LRU, LBGR_RLT, metric),
                "x",
            ),
            Claim(
                f"{text}, largest, cyclic order",
                theirs,
                ABSTRACT,
                "",
                _largest(ALL_WORST, CA_LRU, LBGR_RLT, metric),
                "x",
            ),
        ]
    return claims


def _others() -> list[Claim]:
    """Ratios that reports of the paper's body give."""
    claims = []
    for slow, metric, name, theirs in (
        (RANDOM_LRU, "e2e_p50", "P50 latency", "30.9"),
        (RANDOM_LRU, "ttft_p50", "P50 TTFT", "44.49"),
        (CA_LRU, "e2e_p95", "P95 latency", "2.03"),
        (CA_LRU, "ttft_p95", "P95 TTFT", "2.62"),
    ):
        text = f"{slow} over LBGR + RLT: {name}"
        largest = _largest(ALL_RANDOM, slow, LBGR_RLT, metric)
        here = times(Run(slow, GSP), Run(LBGR_RLT, GSP), metric)
        claims += [
            Claim(text, theirs, ONE, GSP.text, here, "x"),
            Claim(f"{text}, largest, random order", theirs, ONE, "", largest, "x"),
        ]
    for metric, name, theirs in (("hit_rate", "hit rate", "1.3645"), ("request_throughput", "throughput", "1.3651")):
        text = f"LBGR + RLT over cache-aware + LRU: {name}"
        here = times(Run(LBGR_RLT, GSP), Run(CA_LRU, GSP), metric)
        claims.append(Claim(text, theirs, ONE, GSP.text, here, "x", "theirs read as relative; it may be points"))
    for metric, name, theirs, sure in (("e2e_p50", "P50 latency", "22.8", TWO), ("ttft_p50", "P50 TTFT", "15.5", ONE)):
        text = f"cyclic order, cache-aware + LRU over LBGR + RLT: {name}"
        claims.append(
            Claim(text, theirs, sure, WORST.text, times(Run(CA_LRU, WORST), Run(LBGR_RLT, WORST), metric), "x")
        )
    return claims


SWEEPS = (
    sweep("One worker, cyclic order", "tokens of KV memory", CLIFF, ONE_WORKER, ("hit_rate", "request_throughput")),
    sweep(
        "One worker, popular groups beside a cycle", "popular", BESIDE, ONE_WORKER, ("hit_rate", "request_throughput")
    ),
)

PART = Part("The headline ratios", (*_hits(), *_throughput(), *_latency(), *_others()), SWEEPS)
