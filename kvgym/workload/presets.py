"""Workloads by name: arguments of `sessions` with which its figures come close to those of recorded workloads.

Each preset carries the figures that were published or measured, which `tests/workload/test_presets.py` compares with
what it makes, by `kvgym.workload.measure`, and says for which there is no source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kvgym import _check
from kvgym._check import whole
from kvgym.workload.random import Seed
from kvgym.workload.sessions import kind, sessions
from kvgym.workload.workload import Workload


@dataclass(frozen=True, slots=True)
class Preset:
    """A workload that resembles a recorded one.

    Attributes:
        text: One line.
        source: Where the figures are from.
        arguments: Of `sessions`.
        requests: How many the source has, which its hits depend on.
        figures: Name of a field of `kvgym.workload.measure.Figures`, and of a part of it ("lru.1048576"), to its value
            in the source.
        assumed: What has no source.
    """

    text: str
    source: str
    arguments: Mapping[str, Any]
    requests: int
    figures: Mapping[str, float] = field(repr=False)
    assumed: str = ""


def preset(
    seed: Seed, page_size: int, *, name: str, requests: int = 1000, max_context: int | None = None, **changes: Any
) -> Workload:
    """The workload of a preset.

    Args:
        seed: an integer >= 0 or a SeedSequence.
        page_size: tokens per page.
        name: one of `PRESETS`.
        requests: number of requests.
        max_context: most tokens of a prompt after its prefix, where the preset allows more.
        **changes: arguments of `sessions` in place of the preset's, such as `rate`.

    Raises:
        ValueError: for an argument outside these.
    """
    own = dict(PRESETS[_check.choice("name", name, PRESETS)].arguments)
    _check.keywords(f"preset {name!r}", changes, sessions, first=2)
    if max_context is not None:
        whole("max_context", max_context, 1)
        kinds = [kind(**one) for one in own["kinds"]]
        own["kinds"] = [{**one, "max_context": min(max_context, one["max_context"])} for one in kinds]
    return sessions(seed, page_size, requests=requests, **{**own, **changes})


def _lengths(prefix: str, p10: float, p50: float, p90: float, p99: float, mean: float) -> dict[str, float]:
    values = {"p10": p10, "p50": p50, "p90": p90, "p99": p99, "mean": mean}
    return {f"{prefix}.{name}": value for name, value in values.items()}


def _hits(lru: Mapping[int, float], opt: Mapping[int, float]) -> dict[str, float]:
    """By capacity in blocks of 512 tokens."""
    return {f"{name}.{512 * blocks}": hit for name, one in (("lru", lru), ("opt", opt)) for blocks, hit in one.items()}


def _dispersion(at_10_s: float, at_60_s: float, at_300_s: float) -> dict[str, float]:
    return {"dispersion.10": at_10_s, "dispersion.60": at_60_s, "dispersion.300": at_300_s}


_CHAT_OUTPUT = {"quantiles": [[0, 1], [0.1, 24], [0.5, 350], [0.9, 597], [0.99, 1118], [1, 2000]]}
_CHAT = Preset(
    text="conversations of one turn or several, with one short system prompt",
    source="Mooncake FAST'25 conversation_trace; dispersion: Azure 2023 conversation (at 5.5 requests/s)",
    arguments={
        "rate": 3.4,
        "arrivals": {"process": "cox", "sigma": 0.25, "correlation": 0.8, "step_s": 60.0},
        "lead_s": 4000.0,
        "system_tokens": 512,
        "kinds": [
            {
                "first": {"quantiles": [[0, 20], [0.1, 330], [0.5, 5400], [0.9, 24500], [0.99, 80000], [1, 120000]]},
                "growth": {"lognormal": [6.16, 1.6]},
                "output": _CHAT_OUTPUT,
                "turns": {"mixture": [[0.74, 1], [0.26, {"geometric": 2.7, "min": 2}]]},
                "gap_s": {"quantiles": [[0, 20], [0.1, 45], [0.5, 138], [0.9, 600], [0.99, 2000], [1, 4000]]},
            }
        ],
    },
    requests=12_031,
    figures={
        **_lengths("prompt_tokens", 964, 6909, 27367, 85400, 12035),
        **_lengths("output_tokens", 24, 350, 597, 1118, 343),
        "infinite_hit": 0.374,
        "reuse_s.p50": 114,
        "reuse_s.p90": 519,
        **_hits({4000: 0.087, 8000: 0.178, 16_000: 0.263}, {4000: 0.322, 8000: 0.366, 16_000: 0.366}),
        **_dispersion(3.9, 16, 56),
    },
)

_DOCUMENT_OUTPUT = {"quantiles": [[0, 1], [0.1, 4], [0.5, 69], [0.9, 385], [0.99, 750], [1, 1500]]}
_DOCUMENTS = Preset(
    text="several short questions on one long document, among requests that share nothing",
    source="Mooncake FAST'25 synthetic_trace",
    arguments={
        "rate": 3.91,
        "lead_s": 900.0,
        "kinds": [
            {
                "share": 0.15,
                "keep": "first",
                "first": {"quantiles": [[0, 6000], [0.1, 10000], [0.5, 25000], [0.9, 43000], [1, 72000]]},
                "growth": {"quantiles": [[0, 5], [0.5, 30], [0.9, 150], [1, 500]]},
                "output": _DOCUMENT_OUTPUT,
                "turns": {"geometric": 7.4, "min": 2},
                "gap_s": {"quantiles": [[0, 1], [0.1, 9], [0.25, 35], [0.5, 90], [0.9, 430], [0.99, 900], [1, 1200]]},
            },
            {
                "share": 0.85,
                "first": {"quantiles": [[0, 8], [0.2, 30], [0.87, 11800], [0.97, 40000], [1, 66000]]},
                "output": _DOCUMENT_OUTPUT,
            },
        ],
    },
    requests=3993,
    figures={
        **_lengths("prompt_tokens", 30, 11587, 38611, 66456, 15325),
        **_lengths("output_tokens", 4, 69, 389, 768, 149),
        "infinite_hit": 0.651,
        "reuse_s.p50": 59,
        "reuse_s.p90": 282,
        **_hits({2000: 0.146, 4000: 0.235, 8000: 0.373}, {2000: 0.380, 4000: 0.493, 8000: 0.595}),
        **_dispersion(1, 1, 1),
    },
)

_AGENT_OUTPUT = {"quantiles": [[0, 20], [0.1, 105], [0.5, 216], [0.9, 898], [0.99, 3500], [1, 6000]]}
_TOOL_GAP = {"quantiles": [[0, 1], [0.1, 3.9], [0.5, 8.6], [0.9, 80], [0.99, 914], [1, 3000]]}
_USER_GAP = {"quantiles": [[0, 3], [0.1, 7], [0.5, 21], [0.9, 610], [0.99, 6854], [1, 20000]]}
_CODING = Preset(
    text="coding agents in a closed loop: long sessions over a growing context, cut back now and then",
    source="kv-cache-tester's sessions of coding agents; hits and reuse: medians over seven groups of 60 sessions, one "
    "start a minute",
    arguments={
        "rate": 1.16,
        "loop": "closed",
        "kinds": [
            {
                "prefixes": 40,
                "prefix_tokens": 14948,
                "first": {"quantiles": [[0, 50], [0.1, 700], [0.5, 11000], [0.8, 42000], [0.9, 190000], [1, 550000]]},
                "restart": {"quantiles": [[0, 25000], [0.5, 66000], [0.9, 130000], [1, 450000]]},
                "growth": {"quantiles": [[0, 100], [0.1, 300], [0.5, 850], [0.9, 3000], [0.99, 12000], [1, 30000]]},
                "output": _AGENT_OUTPUT,
                "turns": {"quantiles": [[0, 3], [0.1, 9], [0.5, 50], [0.9, 157], [0.99, 341], [1, 500]]},
                "gap_s": {"mixture": [[0.87, _TOOL_GAP], [0.13, _USER_GAP]]},
                "reset": 0.028,
            }
        ],
    },
    requests=4170,
    figures={
        **_lengths("prompt_tokens", 42420, 103659, 233633, 498519, 122379),
        **_lengths("output_tokens", 105, 216, 898, 3686, 440),
        "infinite_hit": 0.957,
        "reuse_s.p50": 22.1,
        "reuse_s.p90": 164,
        **_hits({2000: 0.728, 4000: 0.910, 8000: 0.945}, {2000: 0.864, 4000: 0.938, 8000: 0.953}),
    },
    assumed="dispersion (the sessions are recorded one by one), how many sessions share a prefix",
)

_TOOLS = Preset(
    text="agents with tools behind three huge root prompts, in bursts",
    source="Mooncake FAST'25 toolagent_trace (published figures; the file was not at hand)",
    arguments={
        "rate": 6.67,
        "arrivals": {"process": "gamma", "cv": 4.0},
        "lead_s": 600.0,
        "kinds": [
            {
                "prefixes": [10938, 9203, 3449, 18],
                "prefix_tokens": {"uniform": [3200, 4200]},
                "first": {"lognormal": [7.55, 1.25], "max": 80000},
                "growth": {"lognormal": [6.8, 1.3]},
                "output": {"lognormal": [3.4, 1.9], "max": 12000},
                "turns": {"geometric": 1.7},
                "gap_s": {"lognormal": [2.5, 1.3]},
            }
        ],
    },
    requests=23_608,
    figures={
        "prompt_tokens.p50": 6346,
        "prompt_tokens.p90": 16810,
        "prompt_tokens.mean": 8596,
        "output_tokens.p50": 30,
        "output_tokens.mean": 182,
        "infinite_hit": 0.59,
    },
    assumed="hits of LRU and OPT, reuse times, dispersion, turns and gaps; a coefficient of variation of 4",
)

_TEMPLATES = Preset(
    text="API clients, each with a template of its own: few send most",
    source="ServeGen m-large (mean lengths, shares of clients, coefficients of variation)",
    arguments={
        "rate": 196.0,
        "arrivals": {"process": "clients", "clients": 162, "zipf": 1.65, "shift": 3.2, "cv": 1.19, "cv_p90": 6.2},
        "kinds": [
            {
                "prefix_tokens": {"lognormal": [6.3, 0.4]},
                "first": {"lognormal": [5.35, 0.9]},
                "output": {"lognormal": [4.65, 0.9]},
                "client_sigma": 0.2,
            }
        ],
    },
    requests=20_000,
    figures={"prompt_tokens.mean": 914, "output_tokens.mean": 155, "top_1": 0.16, "top_10": 0.63},
    assumed="length of the templates, so hits, reuse times; dispersion; the day's course (peak to trough 1.45)",
)

_REASONING = Preset(
    text="long answers, little sharing, five times as much by day as by night",
    source="ServeGen deepseek-r1 (mean lengths, shares of clients, coefficients of variation, peak to trough)",
    arguments={
        "rate": 16.0,
        "arrivals": {
            "process": "diurnal",
            "peak_to_trough": 4.9,
            "of": {"process": "clients", "clients": 73, "zipf": 1.2, "cv": 1.02, "cv_p90": 5.6},
        },
        "kinds": [
            {
                "prefix_tokens": {"lognormal": [4.0, 0.5]},
                "first": {"lognormal": [6.55, 1.05]},
                "output": {"lognormal": [7.155, 0.594]},
            }
        ],
    },
    requests=20_000,
    figures={
        "prompt_tokens.mean": 1268,
        "output_tokens.mean": 1527,
        "output_tokens.p99": 5100,
        "top_1": 0.29,
        "top_10": 0.68,
    },
    assumed="quantiles of prompts, length of what a client's prompts share, so hits and reuse times; dispersion",
)

_COMPLETION = Preset(
    text="code completion: bursts and pauses, short answers, a prefix for each repository",
    source="Azure LLM inference trace 2023, code",
    arguments={
        "rate": 2.57,
        "arrivals": {"process": "on_off", "on_s": 12.7, "off_s": 47.6},
        "kinds": [
            {
                "share": 0.25,
                "first": {"quantiles": [[0, 20], [0.4, 147], [1, 560]]},
                "output": {"quantiles": [[0, 5], [0.1, 7], [0.5, 13], [0.9, 55], [0.99, 251], [1, 600]]},
            },
            {
                "share": 0.75,
                "prefixes": 100,
                "prefix_tokens": 512,
                "first": {"quantiles": [[0, 48], [0.333, 957], [0.867, 4676], [0.987, 6924], [1, 6990]]},
                "output": {"quantiles": [[0, 5], [0.1, 7], [0.5, 13], [0.9, 55], [0.99, 251], [1, 600]]},
            },
        ],
    },
    requests=8819,
    figures={
        **_lengths("prompt_tokens", 147, 1469, 5188, 7436, 2048),
        **_lengths("output_tokens", 7, 13, 55, 251, 28),
        "dispersion.10": 72,
        "dispersion.60": 164,
    },
    assumed="prefixes of repositories, so hits and reuse times; dispersion at 300 s (an hour has eleven such windows)",
)

PRESETS: dict[str, Preset] = {
    "chat": _CHAT,
    "api_templates": _TEMPLATES,
    "documents": _DOCUMENTS,
    "tool_agents": _TOOLS,
    "coding_agents": _CODING,
    "reasoning": _REASONING,
    "code_completion": _COMPLETION,
}
"""Name -> preset."""
