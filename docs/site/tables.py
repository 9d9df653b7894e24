"""Tables in docs/*.md that come from the code: `python -m docs.site.tables` writes them again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from kvgym.envs.features import (
    CANDIDATE_FEATURES,
    DECISION_FEATURES,
    EVICT_FEATURES,
    FETCH_FEATURES,
    LINEAR,
    LOGARITHMIC,
    N_CANDIDATE,
    N_DECISION,
    N_EVICT,
    N_FETCH,
    N_REQUEST,
    N_WORKER,
    REQUEST_FEATURES,
    WORKER_FEATURES,
    Feature,
)
from kvgym.evaluation import anchors, plain
from kvgym.evaluation.report import number, ranged
from kvgym.scenarios import FAMILIES, SUITE_SCENARIOS
from kvgym.sim.evictors import TABLE
from kvgym.workload import PRESETS

PAGES = Path(__file__).parents[1]


def transform(feature: Feature) -> str:
    """The scaled form, in the words of the page."""
    if feature.transform == LOGARITHMIC:
        return f"log({feature.scale:g}, {feature.cap:.10g})"
    return f"x / {feature.cap:g}" if feature.transform == LINEAR else "as is"


def observation_table() -> str:
    """A row per feature."""
    lines = ["| index | name | unit | scaled | meaning |", "|---|---|---|---|---|"]
    for k, feature in enumerate(REQUEST_FEATURES):
        lines.append(f"| {k} | `{feature.name}` | {feature.unit} | {transform(feature)} | {feature.text} |")
    for k, feature in enumerate(WORKER_FEATURES):
        index = f"{N_REQUEST + k} + {N_WORKER} w"
        lines.append(f"| {index} | `{feature.name}` | {feature.unit} | {transform(feature)} | {feature.text} |")
    for k, feature in enumerate(FETCH_FEATURES):
        index = f"{N_REQUEST + k} + {N_WORKER} M + {N_FETCH} w"
        text = f"{feature.text} (only with transfers)"
        lines.append(f"| {index} | `{feature.name}` | {feature.unit} | {transform(feature)} | {text} |")
    return "\n".join(lines)


def candidate_table() -> str:
    """A row per feature that only those who evict see; indices within the block."""
    lines = ["| block | i | name | unit | scaled | meaning |", "|---|---|---|---|---|---|"]
    for block, features in (
        ("decision", DECISION_FEATURES),
        ("wanted", EVICT_FEATURES),
        ("candidate", CANDIDATE_FEATURES),
    ):
        for k, feature in enumerate(features):
            text = f"{feature.unit} | {transform(feature)} | {feature.text}"
            lines.append(f"| {block} | {k} | `{feature.name}` | {text} |")
    return "\n".join(lines)


def block_table() -> str:
    """Where blocks begin, by form of observation."""
    lines = ["| block | Route, Joint rule form | Evict leaf | Evict rule | Joint leaf |", "|---|---|---|---|---|"]
    workers, both = N_REQUEST, N_REQUEST + N_DECISION
    asked, candidate = f"{N_WORKER} M", f"{N_WORKER} M + {N_CANDIDATE} c + i"
    slots = f"{N_WORKER} M + {N_CANDIDATE} K"
    rows = {
        "decision": ("", "", "", "i"),
        "request": ("i", "i", "i", f"{N_DECISION} + i"),
        "worker w": (*[f"{workers} + {N_WORKER} w + i"] * 3, f"{both} + {N_WORKER} w + i"),
        "fetch w (transfers)": (
            *[f"{workers} + {asked} + {N_FETCH} w + i"] * 3,
            f"{both} + {asked} + {N_FETCH} w + i",
        ),
        "wanted": ("", *[f"{workers} + {asked} + i"] * 2, f"{both} + {asked} + i"),
        "candidate c": ("", f"{workers + N_EVICT} + {candidate}", "", f"{both + N_EVICT} + {candidate}"),
        "length": (
            f"{workers} + {asked}",
            f"{workers + N_EVICT} + {slots}",
            f"{workers + N_EVICT} + {asked}",
            f"{both + N_EVICT} + {slots}",
        ),
    }
    return "\n".join([*lines, *(f"| {name} | {' | '.join(row)} |" for name, row in rows.items())])


def scenario_table() -> str:
    """A table per family, with a row per scenario."""
    head = ["| scenario | workers | requests | objective | view | load | what |", "|---|---|---|---|---|---|---|"]
    parts = []
    for name, family in FAMILIES.items():
        held_out = " Held out: training refuses it." if family.held_out else ""
        lines = [f"### {name}\n\n{family.text[0].upper()}{family.text[1:]}.{held_out}\n", *head]
        for key, s in family.scenarios.items():
            requests = f"{s.warmup_requests} + {s.episode_requests}"
            load = "" if s.load is None else f"{s.load:.2f}"
            lines.append(f"| `{key}` | {len(s.cluster)} | {requests} | {s.objective} | {s.view} | {load} | {s.text} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def unranked_table() -> str:
    """A row per scenario of the suite that has no part in the scores, and whose best known pair was looked for."""
    lines = [
        "| scenario | best known pair | its J (s) | reference | random | planner / best |",
        "|---|---|---:|---:|---:|---|",
    ]
    for name, scenario in SUITE_SCENARIOS.items():
        known = anchors.frozen(scenario)
        if known is None or known.frontier is None or name in anchors.ranked():
            continue
        costs = (number(float(row.J.mean())) for row in (known.frontier, known.reference, known.random))
        planner = "not played" if known.planner is None else ranged(known.planner.ratio)
        lines.append(f"| `{name}` | {known.frontier.pair} | {' | '.join(costs)} | {planner} |")
    return "\n".join(lines)


def evictor_table() -> str:
    """A row per evictor."""
    lines = ["| name | the page that goes | is told of pages by |", "|---|---|---|"]
    for name, row in TABLE.items():
        lines.append(f"| `{name}` | {row.text} | {', '.join(row.keeps)} |")
    return "\n".join(lines)


def preset_table() -> str:
    """A row per preset."""
    lines = ["| preset | what | source | its figures | assumed |", "|---|---|---|---|---|"]
    for name, preset in PRESETS.items():
        figures = ", ".join(f"{key} {value:,g}" for key, value in preset.figures.items())
        lines.append(f"| `{name}` | {preset.text} | {preset.source} | {figures} | {preset.assumed or 'nothing'} |")
    return "\n".join(lines)


def released(track: str) -> dict[str, Any]:
    """The released results of a track, as the leaderboard wrote them."""
    found: dict[str, Any] = json.loads((PAGES / "leaderboard" / f"{track}.json").read_text(encoding="utf-8"))
    return found


def router_table() -> str:
    """A row per router of the released results, the best first."""
    head = "| rank | router | x ref | score | elsewhere | wins % | over best % | in time % |"
    lines = [head, "|---:|---|---:|---:|---:|---:|---:|---:|"]
    for row in released("route")["overall"][0]["rows"]:
        elsewhere = plain.interval(row["reference_elsewhere"])
        cells = [
            str(row["rank"] or ""),
            _name(row),
            *(ranged(plain.interval(row[key])) for key in ("reference", "frontier")),
            f"{number(elsewhere.low)}, {number(elsewhere.high)}",
            *(f"{100 * row[key]:.0f}" for key in ("wins_reference", "wins_frontier", "attainment")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def best_table() -> str:
    """A row per scenario of the released results: the frontier, the planner, and the best routers."""
    head = "| scenario | frontier | J (s) | planner / frontier | best routers here: x best |"
    lines = [head, "|---|---|---:|---|---|"]
    for board in released("route")["scenarios"]:
        known = board["anchors"]
        rows = sorted((row for row in board["rows"] if not row["oracle"]), key=lambda row: row["J"])[:3]
        best = ", ".join(f"{_name(row)} {number(row['of_frontier']['mean'])}" for row in rows)
        ratio = ranged(plain.interval(known["planner"]["ratio"]))
        frontier = known["frontier"]
        lines.append(f"| `{board['name']}` | {frontier['pair']} | {number(frontier['J'])} | {ratio} | {best} |")
    return "\n".join(lines)


def evictor_scores() -> str:
    """A row per evictor behind the router of the released results, x ref on each scenario and over all."""
    value = released("evict")
    names = [board["name"] for board in value["scenarios"]]
    lines = [f"| evictor | all | {' | '.join(names)} |", "|---|---:|" + "---:|" * len(names)]
    players = {(one["agent"], one["evictor"]): one["on"] for one in value["players"]}
    for row in value["overall"][0]["rows"]:
        places = zip(value["scenarios"], players[row["agent"], row["evictor"]], strict=True)
        speeds = [board["rows"][place]["speed_up"]["mean"] for board, place in places]
        cells = [row["evictor"] + _oracle(row), ranged(plain.interval(row["reference"])), *map(number, speeds)]
        if row["agent"] == "lbgr_code":
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def pair_scores() -> str:
    """Routers x evictors of the released results: x ref over all scenarios."""
    value = released("joint")
    routers, evictors = value["matrix"]["routers"], value["matrix"]["evictors"]
    means = {(row["agent"], row["evictor"]): row["reference"]["mean"] for row in value["overall"][0]["rows"]}
    lines = [f"| router | {' | '.join(evictors)} |", "|---|" + "---:|" * len(evictors)]
    for router in routers:
        lines.append(f"| {router} | {' | '.join(number(means[router, evictor]) for evictor in evictors)} |")
    return "\n".join(lines)


def _name(row: dict[str, Any]) -> str:
    """Agent, and evictor where it is not the scenario's own."""
    return row["agent"] + ("" if row["evictor"] == "own" else f" + {row['evictor']}") + _oracle(row)


def _oracle(row: dict[str, Any]) -> str:
    return " (oracle)" if row["oracle"] else ""


TABLES = {
    "environments.md": {
        "blocks": block_table,
        "observation": observation_table,
        "candidates": candidate_table,
    },
    "scenarios.md": {"unranked": unranked_table, "scenarios": scenario_table},
    "evictors.md": {"evictors": evictor_table},
    "workloads.md": {"presets": preset_table},
    "leaderboard.md": {
        "routers": router_table,
        "scenarios": best_table,
        "evictors": evictor_scores,
        "pairs": pair_scores,
    },
}
"""Page -> mark of a table -> who writes it."""


def rendered(name: str, page: str) -> str:
    """A page with its tables as the code has them."""
    for mark, table in TABLES[name].items():
        pattern = rf"(<!-- {mark}: [^\n]*-->\n).*?(<!-- end -->)"
        page, found = re.subn(
            pattern, lambda match, table=table: match[1] + table() + "\n" + match[2], page, flags=re.DOTALL
        )
        assert found == 1, f"{name} has no place for the table {mark!r}"
    return page


if __name__ == "__main__":
    for name in TABLES:
        path = PAGES / name
        path.write_text(rendered(name, path.read_text(encoding="utf-8")), encoding="utf-8")
