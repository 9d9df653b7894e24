"""How forms of LBGR's regression fare: prints the table of docs/lbgr.md.

python -m studies.lbgr_study --seeds 5
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tabulate import tabulate

from agents import make_agent
from kvgym import _command
from kvgym.evaluation import play_all

TRUE_MS_PER_CHARACTER = 0.16 / 6

FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "lbgr (default)": ("lbgr", {}),
    "no regression": ("lbgr", {"rate": 0.0}),
    "no bound": ("lbgr", {"bound": None}),
    "bias, no bound": ("lbgr", {"bound": None, "bias": True}),
    "bias, bound": ("lbgr", {"bias": True}),
    "bound 0.2": ("lbgr", {"bound": 0.2}),
    "bound 0.9": ("lbgr", {"bound": 0.9}),
    "rate 0.1": ("lbgr", {"rate": 0.1}),
    "alpha_miss x 6": ("lbgr", {"alpha_miss": 1e-3}),
    "alpha_miss / 16": ("lbgr", {"alpha_miss": 1e-5}),
    "lbgr_code": ("lbgr_code", {}),
    "lbgr_code, true costs": ("lbgr_code", {"ms_per_character": TRUE_MS_PER_CHARACTER}),
}
"""Row of the table -> agent and its arguments."""

MIXED: dict[str, Any] = {
    "workers": [
        {"model": "llama-3.1-8b", "gpu": "l40", "count": 2},
        {"model": "llama-3.1-8b", "gpu": "a100-80g", "count": 2},
    ],
    "recipe_args": {"rate": 14.0},
}
SETTINGS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "gsp": ("gsp", None),
    "gsp-stable": ("gsp-stable", None),
    "gsp-stable, two GPU kinds": ("gsp-stable", MIXED),
    "multi-turn": ("multi-turn", None),
    "long-doc": ("long-doc", None),
}
"""Name -> scenario and overrides."""


def table(setting: str, seeds: int) -> str:
    """Means over seeds, with the range of J, as a Markdown table."""
    scenario, overrides = SETTINGS[setting]
    rows = []
    for form, (name, arguments) in FORMS.items():
        make = partial(make_agent, name, **arguments)
        found = play_all(make, scenario, range(seeds), overrides=overrides, split="validation")
        cost = found["J"]
        others = (found[key].mean() for key in ("ttft_p50", "e2e_p50", "e2e_p95", "hit_rate", "imbalance"))
        rows.append([form, cost.mean(), f"{cost.min():.2f}-{cost.max():.2f}", *others])
    headers = ["form", "J (s)", "range", "TTFT p50", "E2E p50", "E2E p95", "hit rate", "imbalance"]
    formats = ("", ".2f", "", ".2f", ".2f", ".2f", ".3f", ".2f")
    return tabulate(rows, headers, tablefmt="github", floatfmt=formats)


def main() -> None:
    """Prints the tables."""
    parser = _command.parser("studies.lbgr_study", __doc__)
    parser.add_argument("--seeds", type=int, default=5, help="episodes per cell: seeds 0 .. seeds - 1 (default 5)")
    parser.add_argument("--setting", choices=SETTINGS, action="append", help="default: all of them")
    arguments = parser.parse_args()
    for setting in arguments.setting or SETTINGS:
        print(f"\n{setting}\n\n{table(setting, arguments.seeds)}", flush=True)


if __name__ == "__main__":
    _command.run(main)
