"""Pages of the site that come from the code, and those that stand at the top of the checkout.

`mkdocs serve` and `mkdocs build` run this (mkdocs.yml); nothing of it is written into the checkout. One page for each
environment id, scenario, agent, evictor, GPU and model, and one for each public module.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from html import escape
from importlib import import_module
from inspect import cleandoc
from pathlib import Path

import mkdocs_gen_files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # mkdocs itself does not run in the checkout's environment of modules

import gymnasium  # noqa: E402

import agents  # noqa: E402
from docs.site import tables  # noqa: E402
from envs_registry import ENVIRONMENTS  # noqa: E402
from kvgym.cluster import Gpu, Model, load_catalogue  # noqa: E402
from kvgym.cluster.catalogue import Pair  # noqa: E402
from kvgym.evaluation import anchors  # noqa: E402
from kvgym.scenarios import FAMILIES, SUITE_SCENARIOS, Scenario, family_of  # noqa: E402
from kvgym.sim.evictors import TABLE  # noqa: E402
from studies import knowledge_study  # noqa: E402

TOP = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/RESULTS.md": "benchmarks.md",
    "agents/learned/pretrained/router.md": "router.md",
    "agents/learned/pretrained/evictor.md": "evictor.md",
}
"""Pages that do not lie in docs/ -> their name on the site."""
PUBLIC = ("kvgym", "agents")
INTERNAL = re.compile(r"\.(kernels|sim\.\w+|workload\.tree_kernels)(\.|$)|\._|__main__")
"""Modules without a page: kernels, and what begins with an underscore."""
CATALOGUE = load_catalogue()


def write(name: str, text: str) -> None:
    """Writes a page of the site."""
    with mkdocs_gen_files.open(name, "w") as file:
        file.write(text.rstrip() + "\n")


def slug(name: str) -> str:
    """A name as part of an address."""
    return re.sub(r"[^\w.-]+", "-", name.lower())


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table in Markdown."""
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def section(folder: str, title: str, intro: str, names: Iterable[str], page: Callable[[str], tuple[str, str]]) -> None:
    """A folder of pages, one per name, and a list of them.

    Args:
        folder: Folder of the site; pages above it have the same name with ".md".
        title: Title of the list.
        intro: Text above the list.
        names: Names of the things.
        page: Name -> one line about the thing, and the text of its page.
    """
    rows = []
    for name in names:
        line, text = page(name)
        write(f"{folder}/{slug(name)}.md", f"# {name}\n\n{text}")
        rows.append((f"[{name}]({slug(name)}.md)", line))
    write(f"{folder}/index.md", f"# {title}\n\n{intro}\n\n{table(('name', 'what'), rows)}")


def copy_pages() -> None:
    """Pages with addresses of the site: those of the checkout's top move into it, and links to them and from them."""
    for path in (*(ROOT / name for name in TOP), *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text(encoding="utf-8").replace("](docs/", "](").replace("](../", "](")
        for name, there in TOP.items():
            text = text.replace(f"]({name}", f"]({there}")
        write(TOP.get(str(path.relative_to(ROOT)), path.name), text)
    for path in (ROOT / "LICENSE", *sorted((ROOT / "notebooks").glob("*.ipynb"))):
        with mkdocs_gen_files.open(str(path.relative_to(ROOT)), "wb") as file:
            file.write(path.read_bytes())


def environment(name: str) -> tuple[str, str]:
    """Page of an id: its docstring, as Gymnasium has it, and its spaces on the default scenario."""
    spec = gymnasium.spec(name)
    module, made = str(spec.entry_point).split(":")
    cls = getattr(import_module(module), made)
    env = gymnasium.make(name)
    line, _, text = cleandoc(cls.__doc__).partition("\n")
    facts = table(
        ("what", ""),
        [
            ("make", f'`gymnasium.make("kvgym:{name}")`'),
            ("many at a time", f'`gymnasium.make_vec("kvgym:{name}", num_envs=64)`, `kvgym.make_vec`'),
            ("action space", f"`{env.action_space}`"),
            (
                "observation space",
                f"`Box({env.observation_space.shape}, float32)`: [features and units](../features.md)",
            ),
            ("render modes", ", ".join(env.metadata["render_modes"])),
            ("class", f"[`{module}.{made}`](../{module_page(module)})"),
        ],
    )
    arguments = cleandoc(cls.settings_class.__doc__).partition("\n")[2]
    more = f"\n\n## Arguments of this id\n\n{google_list(arguments)}" if "Attributes" in arguments else ""
    return line, (
        f"{line}\n\n{facts}\n\nSpaces are those of the scenario {env.unwrapped.scenario.name}; all of it in full: "
        f"[environments](../environments.md#{slug(name.replace('/', ''))}).\n{text}{more}"
    )


def google_list(text: str) -> str:
    """The entries of a Google style section as a table."""
    entries = re.findall(r"^    (\w+): (.+(?:\n        .+)*)", text, re.MULTILINE)
    return table(("argument", "meaning"), [(f"`{name}`", " ".join(what.split())) for name, what in entries])


def scenario(name: str) -> tuple[str, str]:
    """Page of a scenario: its cluster, engine, arrivals, all of its fields, and what is left to gain."""
    one = SUITE_SCENARIOS[name]
    kinds = Counter(worker.kv_pages * one.engine.page_size for worker in one.cluster.workers)
    workers = [(count, f"{tokens:,}") for tokens, count in kinds.items()]
    words = {line: meaning for line, meaning in attributes(Scenario)}
    data = one.to_dict()
    rows = [(f"`{key}`", f"`{json.dumps(value)}`", words.get(key, "")) for key, value in data.items() if key != "text"]
    example = f'env = gymnasium.make("kvgym:KVGym/Route-v0", scenario="{name}")'
    family = family_of(name)
    return one.text, (
        f"{one.text[0].upper()}{one.text[1:]}.\n\n```python\nimport gymnasium\n\n{example}\n```\n\n"
        f"Play it with rules and reference agents: `python -m agents.leaderboard --scenario {name}`. Of the family "
        f"{family}: {FAMILIES[family].text}; [all of them](../scenarios.md).\n\n"
        f"{headroom(one)}"
        f"## Workers\n\n{table(('workers', 'KV tokens of each'), workers)}\n\n"
        f"## Fields\n\nAny of them can be changed, [own scenarios](../own_scenarios.md) says how.\n\n"
        f"{table(('field', 'value', 'meaning'), rows)}"
    )


def headroom(one: Scenario) -> str:
    """What is left to gain on a scenario, and what kind of knowledge would pay."""
    known = anchors.frozen(one)
    if known is None or known.frontier is None:
        return ""
    costs = {f"{what}: {row.pair}": float(row.J.mean()) for what, row in known.rows.items()}
    ranked = f"Not ranked: {known.why_not_ranked}." if known.why_not_ranked else "Ranked."
    text = f"## What is left to gain\n\n{ranked} Mean J on {len(known.seeds)} test seeds:\n\n{bars(costs)}\n\n"
    if known.planner is not None:
        mean, low, high = (100 * (1 - share) for share in known.planner.ratio)
        text += (
            f"A planner that knows the future ({known.planner.pair}; {len(known.planner.seeds)} seeds, "
            f"{json.dumps(dict(known.planner.overrides))}) is {mean:.0f} % [{high:.0f}, {low:.0f}] below the frontier, "
            "the best known pair.\n\n"
        )
    told = knowledge_study.load().get(one.name)
    if told is None or told["version"] != one.version:
        return text
    lines = []
    for key, row in knowledge_study.TOLD.items():
        mean, low, high = knowledge_study.gain(told, key)
        spread = (
            "" if key == "nothing" else f"{100 * (mean - 1):+.0f} % [{100 * (low - 1):+.0f}, {100 * (high - 1):+.0f}]"
        )
        lines.append((row.text, f"{sum(told['rows'][key]) / len(told['seeds']):.3g} s", spread))
    return text + (
        f"What kind of knowledge pays: {told['pair']} on {len(told['seeds'])} validation seeds, told\n\n"
        f"{table(('what', 'J', 'change'), lines)}\n\n"
    )


def bars(values: Mapping[str, float]) -> str:
    """A picture of some numbers of seconds, one below the other."""
    top, step = max(values.values()), 26
    rows = []
    for number, (name, value) in enumerate(values.items()):
        y, width = number * step, 400 * value / top
        rows.append(
            f'<rect x="0" y="{y + 12}" width="{width:.1f}" height="10" fill="currentColor" opacity="0.45"/>'
            f'<text x="0" y="{y + 9}" font-size="10" fill="currentColor">{escape(name)}</text>'
            f'<text x="{width + 5:.1f}" y="{y + 21}" font-size="10" fill="currentColor">{value:.3g} s</text>'
        )
    return f'<svg viewBox="0 0 480 {step * len(values)}" role="img" style="max-width:40rem">{"".join(rows)}</svg>'


def attributes(cls: type) -> list[tuple[str, str]]:
    """Fields of a dataclass with their text, from its docstring."""
    text = cleandoc(cls.__doc__ or "")
    known = {one.name for one in fields(cls)}  # type: ignore[arg-type]
    found = re.findall(r"^    (\w+): (.+(?:\n        .+)*)", text, re.MULTILINE)
    return [(name, " ".join(what.split())) for name, what in found if name in known]


def agent(name: str) -> tuple[str, str]:
    """Page of an agent: its class, its arguments, how to play it."""
    cls = agents.NAMED[name]
    preset = agents.PRESETS.get(name, {})
    line = str(cls.__doc__).partition("\n")[0]
    if preset:
        line += " " + ", ".join(f"`{key}={value!r}`" for key, value in preset.items())
    plays = getattr(cls, "environment", "KVGym/Route-v0")
    if not isinstance(plays, str):
        plays = "KVGym/Route-v0, KVGym/Evict-v0 or KVGym/Joint-v0"
    track = {"KVGym/Evict-v0": " --track evict", "KVGym/Joint-v0": " --track joint"}.get(plays, "")
    command = f"python -m agents.leaderboard{track} --quick --agent {name}"
    return line, (
        f"{line}\n\nIt plays {plays}. By name: `agents.make_agent({name!r})`; on the leaderboard: `{command}`.\n\n"
        f"::: {cls.__module__}.{cls.__qualname__}\n"
        "    options:\n      heading_level: 2\n      show_root_heading: true\n"
    )


def rule_of(name: str) -> str:
    """What docs/semantics.md says of an evictor beyond its row in the table there, and its sources."""
    law = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
    about = (ROOT / "docs" / "evictors.md").read_text(encoding="utf-8")
    found = re.search(rf"^#### C\d {name}\n(.*?)(?=^##)", law, re.MULTILINE | re.DOTALL)
    rule = f"\n\n## Rule\n\n{found[1].strip()}" if found else ""
    sources = about.split("**Sources.**")[1].split("**Constants.**")[0]
    items = [item for item in re.findall(r"^- (.+(?:\n  .+)*)", sources, re.MULTILINE) if f"`{name}`" in item]
    return f"{rule}\n\n## Source\n\n{' '.join(items)}".replace("](#", "](../semantics.md#")


def evictor(name: str) -> tuple[str, str]:
    """Page of an evictor: its rule, its source, what it keeps."""
    row = TABLE[name]
    alone = "no: it can't take turns with others on one cache" if row.alone else "yes"
    facts = [
        ("the page that goes", row.text),
        ("told of pages by", ", ".join(f"`{kept}`" for kept in row.keeps) or "nothing but the order of use"),
        ("an agent may name it as a rule", alone),
        ("file", f"`kvgym/sim/evictors/{row.module}.py`"),
    ]
    return row.text, (
        f"{table(('what', ''), facts)}{rule_of(name)}\n\n## Try it\n\n"
        f'`gymnasium.make("kvgym:KVGym/Route-v0", evictor="{name}")`, or `python -m agents.leaderboard --track evict '
        f"--evictor lru {name}`. Constants, hit rates on recorded traces and times: [evictors](../evictors.md); all "
        "rules: [semantics](../semantics.md#evictors)."
    )


def gpu(name: str) -> tuple[str, str]:
    """Page of a kind of GPU: its figures, its source, and which models have fitted costs on it."""
    one = CATALOGUE.gpus[name]
    rows = [
        (f"`{key}`", f"{getattr(one, key):,g}", what) for key, what in attributes(Gpu) if key not in ("name", "source")
    ]
    line = f"{one.mem_gib:g} GiB, {one.mem_gbps:,.0f} GB/s, {one.tflops:,.0f} TFLOP/s in 16 bits"
    pairs = [pair for pair in CATALOGUE.pairs.values() if pair.gpu == name]
    return line, f"{table(('figure', 'value', 'meaning'), rows)}\n\n**Source.** {one.source}\n\n{fitted(pairs)}"


def model(name: str) -> tuple[str, str]:
    """Page of a model: its sizes, its source, and on which GPUs it has fitted costs."""
    one = CATALOGUE.models[name]
    line = f"{one.weight_bytes / 1e9:.0f} GB in 16 bits, {one.kv_bytes_per_token:,} bytes of KV per token"
    sizes = attributes(Model) + (attributes(type(one.architecture)) if one.architecture else [])
    rows = []
    for key, what in sizes:
        value = getattr(one, key, getattr(one.architecture, key, None))
        if isinstance(value, int) and value:
            rows.append((f"`{key}`", f"{value:,}" if not isinstance(value, bool) else value, what))
    if one.kv_bytes_per_request:
        rows += [
            ("`kv_bytes_per_request`", f"{one.kv_bytes_per_request:,}", "Bytes that windows, chunks and states keep.")
        ]
    rows += [("`weights`", ", ".join(f"{key} ({what})" for key, what in one.weights.items()), "Formats, and of what.")]
    pairs = [pair for pair in CATALOGUE.pairs.values() if pair.model == name]
    return line, f"{table(('size', 'value', 'meaning'), rows)}\n\n**Source.** {one.source}\n\n{fitted(pairs)}"


def fitted(pairs: list[Pair]) -> str:
    """Which iteration costs were fitted, of these pairs."""
    if not pairs:
        return (
            "## Costs\n\nNo kernel timings were fitted. `form='published'` makes a cost from published figures; how "
            "far off that is: [costs](../costs.md)."
        )
    rows = [
        (f"[{p.model}](../models/{slug(p.model)}.md)", f"[{p.gpu}](../gpus/{slug(p.gpu)}.md)", p.tp, p.weights)
        for p in pairs
    ]
    head = ("model", "GPU", "GPUs a worker (tp)", "weights")
    return (
        f"## Fitted costs\n\nIteration costs were fitted to kernel timings of these pairs ([costs](../costs.md)).\n\n"
        f"{table(head, rows)}"
    )


def features() -> None:
    """Every feature of every block, with its unit."""
    write(
        "features.md",
        '# Features and units\n\nObservations of all environments are made of blocks. In `observation="physical"` a '
        'feature is in its unit; in `"scaled"` it is in [0, 1] by the transformation named here '
        "([environments](environments.md) says which). `env.unwrapped.layout` finds a feature by its name, "
        f"[layout]({module_page('kvgym.envs.layout')}).\n\n## Request, workers, transfers\n\nM workers, w one of them: "
        f"from 0.\n\n{tables.observation_table()}\n\n"
        f"## Eviction\n\n{tables.candidate_table()}\n\n"
        "## Where blocks begin\n\nM workers, K candidates, i the place within the "
        f"block.\n\n{tables.block_table()}",
    )


def module_page(name: str) -> str:
    """Where a module's page lies."""
    path = name.replace(".", "/")
    return f"reference/{path}/index.md" if (ROOT / path).is_dir() else f"reference/{path}.md"


def reference() -> None:
    """A page per public module."""
    for package in PUBLIC:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if not INTERNAL.search(name) or name == "kvgym.sim.simulator":
                text = f"# {name}\n\n::: {name}\n    options:\n      show_root_toc_entry: false\n"
                write(module_page(name), text)


copy_pages()
features()
section(
    "environments",
    "Ids",
    "Environment ids; they share most of [what they do](../environments.md).",
    ENVIRONMENTS,
    environment,
)
section(
    "scenarios",
    "Scenarios",
    "Scenarios of the suite; [your own](../own_scenarios.md) is a file.",
    SUITE_SCENARIOS,
    scenario,
)
section("agents", "Agents", "Agents by name, for `--agent` and `agents.make_agent`.", agents.NAMED, agent)
section(
    "evictors", "Evictors by name", "Who decides which cached pages go; [about them](../evictors.md).", TABLE, evictor
)
section("gpus", "GPUs", "Kinds of GPU in the catalogue.", CATALOGUE.gpus, gpu)
refused = "".join(f"\n- {name}: {reason}" for name, reason in CATALOGUE.refused.items())
section("models", "Models", f"Models in the catalogue. Refused by name:\n{refused}", CATALOGUE.models, model)
reference()
