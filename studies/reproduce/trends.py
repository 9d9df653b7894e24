"""Trends: over the rate, the number of workers, KV memory, length of outputs, prefix ratio and order."""

from __future__ import annotations

from collections.abc import Mapping

from .claims import CODE, ONE, TWO, Claim, Part, sweep
from .measures import Extreme, Quotient, times
from .settings import CA_LRU, GSP, LBGR_RLT, RANDOM_LRU, TUNED_RLT, Run, Setting, gsp

THREE = (RANDOM_LRU, CA_LRU, LBGR_RLT)
FOUR = (*THREE, TUNED_RLT)
MEMORY = (59_000, 95_000, 131_000, 168_000, 205_000)
"""Tokens of KV memory of an L40 with Llama-3.1-8B where SGLang takes 50, 60, .. 90 % of the GPU's memory."""

RATES = {
    f"{rate:g}": gsp(f"4 L40, {rate:g} requests/s, prefix ratio 0.5, random order", rate=rate)
    for rate in (4.0, 8.0, 10.0, 11.0, 12.0, 14.0, 16.0, 20.0)
} | {"12": GSP}
WORST_RATES = {
    f"{rate:g}": gsp(f"4 L40, {rate:g} requests/s, prefix ratio 0.5, cyclic order", rate=rate, order="worst")
    for rate in (8.0, 10.0, 11.0, 12.0, 13.0, 14.0, 16.0, 20.0)
}
WORST = WORST_RATES["12"]
WORKERS = {
    str(workers): gsp(f"{workers} L40, 12 requests/s, prefix ratio 0.5, random order", workers=workers, rate=12.0)
    for workers in (2, 4, 6, 8, 10)
} | {"4": GSP}
KV = {
    f"{kv:,}": gsp(
        f"4 L40 with {kv:,} tokens of KV memory, 12 requests/s, random order", worker={"kv_tokens": kv}, rate=12.0
    )
    for kv in MEMORY
}
OUTPUTS = {
    str(tokens): gsp(f"4 L40, 12 requests/s, outputs of {tokens} tokens, random order", rate=12.0, output_tokens=tokens)
    for tokens in (4, 16, 32, 64, 128)
} | {"4": GSP}
RATIOS = {
    f"{ratio:g}": gsp(f"4 L40, 12 requests/s, prefix ratio {ratio:g}, random order", rate=12.0, prefix_ratio=ratio)
    for ratio in (0.25, 0.5, 0.75, 0.9)
} | {"0.5": GSP}
LOADS = {
    "conversations": Setting(
        "128 conversations in closed loop on 4 L40, pages of a token", {"engine": {"page_size": 1}}, "multi-turn"
    ),
    "documents, 12/s": Setting(
        "questions on 105 documents, 4 L40, 12 requests/s, pages of a token", {"engine": {"page_size": 1}}, "long-doc"
    ),
    "documents, 24/s": Setting(
        "questions on 105 documents, 4 L40, 24 requests/s, pages of a token",
        {"engine": {"page_size": 1}, "recipe_args": {"rate": 24.0}},
        "long-doc",
    ),
}
ALL_RANDOM = tuple({one.text: one for some in (RATES, WORKERS, KV, OUTPUTS, RATIOS) for one in some.values()}.values())
ALL_WORST = tuple(WORST_RATES.values())

SWEEPS = (
    sweep("Rate, random order", "requests/s", RATES, FOUR),
    sweep("Rate, cyclic order", "requests/s", WORST_RATES, THREE),
    sweep("Number of workers", "workers", WORKERS, THREE),
    sweep("KV memory of a worker", "tokens", KV, THREE),
    sweep("Length of outputs", "tokens", OUTPUTS, THREE),
    sweep("Prefix ratio", "share", RATIOS, FOUR),
    sweep("The paper's other loads", "load", LOADS, THREE),
)


def gain(setting: Setting, metric: str = "e2e_p50") -> Quotient:
    """Cache-aware + LRU over LBGR + RLT."""
    return times(Run(CA_LRU, setting), Run(LBGR_RLT, setting), metric)


def growth(after: Setting, before: Setting, metric: str = "e2e_p50") -> Quotient:
    """The gain on one setting over that on another."""
    one, other = gain(after, metric), gain(before, metric)
    return Quotient(one.over + other.under, one.under + other.over)


def smallest(settings: Mapping[str, Setting]) -> Extreme:
    """The smallest gain."""
    return Extreme(tuple((one.text, gain(one)) for one in settings.values()), largest=False)


def _claims() -> tuple[Claim, ...]:
    text = "cache-aware + LRU over LBGR + RLT, P50 latency"
    six = times(Run(LBGR_RLT, WORKERS["6"]), Run(CA_LRU, WORKERS["6"]), "request_throughput")
    return (
        Claim(f"{text}: ahead at 4 to 20 requests/s; the smallest", "above 1", ONE, "", smallest(RATES), "x"),
        Claim(f"{text}: ahead with outputs of 4 to 128; the smallest", "above 1", TWO, "", smallest(OUTPUTS), "x"),
        Claim(f"{text}: ahead with 2 to 10 workers; the smallest", "above 1", TWO, "", smallest(WORKERS), "x"),
        Claim(
            f"{text}: grows with KV memory; at 90 % over at 50 %",
            "above 1",
            ONE,
            f"{KV['205,000'].text} over 59,000",
            growth(KV["205,000"], KV["59,000"]),
            "x",
            '"cache 50 to 90 %" read as SGLang\'s share of memory',
        ),
        Claim(
            f"{text}: shrinks with workers; 10 over 4",
            "below 1",
            ONE,
            f"{WORKERS['10'].text} over 4",
            growth(WORKERS["10"], WORKERS["4"]),
            "x",
        ),
        Claim(
            "throughput is the same from 6 workers on: LBGR + RLT over cache-aware + LRU",
            "1",
            ONE,
            WORKERS["6"].text,
            six,
            "x",
        ),
        Claim(
            f"{text}: larger in cyclic order than in random order",
            "above 1",
            ONE,
            f"{WORST.text} over random",
            growth(WORST, GSP),
            "x",
        ),
        *(
            Claim(
                f"{text}: {name}", "above 1", CODE, one.text, gain(one), "x", "a load of the code's; figures: none seen"
            )
            for name, one in LOADS.items()
        ),
    )


PART = Part("Trends", _claims(), SWEEPS)
