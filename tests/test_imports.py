"""Imports run one way, and `import kvgym` stays cheap."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What may be imported by everything after it. `kvgym` is the package's own __init__.py, which gathers the public names.
ORDER = (
    "kvgym._",
    "kvgym.workload",
    "kvgym.cluster",
    "kvgym.sim",
    "kvgym.scenarios",
    "kvgym.envs",
    "kvgym.wrappers",
    "kvgym.integrations",
    "kvgym.evaluation",
    "kvgym.watch",
    "envs_registry",
    "kvgym",
    "agents",
    "studies",
)
# Commands are imported by nothing (a test below). The one of the console script may so import what comes later.
COMMANDS = {"kvgym.cluster.links", "kvgym.evaluation.validate", "kvgym._cli"}
HEAVY = (
    "numba",
    "torch",
    "matplotlib",
    "stable_baselines3",
    "sb3_contrib",
    "scipy",
    "pandas",
    "pygame",
    "pyarrow",
    "ray",
    "minari",
    "h5py",
    "pettingzoo",
)


def rank(module: str) -> int:
    """Place of a module in ORDER; helper modules and dunder names of kvgym come first.

    Raises:
        ValueError: If the module stands at a place that ORDER does not know.
    """
    parts = module.split(".")
    if parts[0] != "kvgym":
        name = parts[0]
    elif len(parts) == 1:
        name = "kvgym"
    else:
        name = "kvgym._" if parts[1].startswith("_") else f"kvgym.{parts[1]}"
    if name not in ORDER:
        raise ValueError(f"{module} is at no place of the order of imports: {', '.join(ORDER)}")
    return ORDER.index(name)


def imported(source: str, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Line and absolute name of each module of this project that `source`, the text of `module`, imports anywhere."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            # `from kvgym import sim` imports kvgym.sim, `from kvgym import Simulator` a name of kvgym/__init__.py.
            names = [f"kvgym.{alias.name}" if is_part(alias.name) else "kvgym" for alias in node.names]
            names = names if base == "kvgym" else [base]
        else:
            continue
        for name in names:
            if name.split(".")[0] in ("kvgym", "envs_registry", "agents", "studies"):
                yield node.lineno, name


def is_part(name: str) -> bool:
    """Whether `name`, taken from kvgym, is a folder or helper of it rather than a public name of its __init__.py."""
    return name.startswith("_") or f"kvgym.{name}" in ORDER


def violations(files: dict[str, str]) -> list[str]:
    """Imports of something later in ORDER, as "path:line imports module", among files given by path and text."""
    found = []
    for path, source in files.items():
        parts = list(Path(path).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        own = rank(module)
        for line, name in imported(source, module, is_package):
            if name in COMMANDS or (rank(name) > own and module != "kvgym._cli"):
                found.append(f"{path}:{line} imports {name}")
    return found


def project_files() -> dict[str, str]:
    paths = [path for folder in ("kvgym", "agents", "studies") for path in ROOT.glob(f"{folder}/**/*.py")]
    paths.append(ROOT / "envs_registry.py")
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def test_imports_run_one_way():
    files = project_files()
    assert "kvgym/__init__.py" in files
    assert "kvgym/cluster/cost.py" in files
    assert violations(files) == []


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("kvgym/cluster/cost.py", "import kvgym.sim", "kvgym.sim"),
        ("kvgym/cluster/cost.py", "x = 1\n\ndef f():\n    from kvgym.envs.route import Route", "kvgym.envs.route"),
        ("kvgym/cluster/cost.py", "from kvgym import envs", "kvgym.envs"),
        ("kvgym/cluster/cost.py", "from kvgym import Simulator", "kvgym"),
        ("kvgym/cluster/cost.py", "from ..sim import tables", "kvgym.sim"),
        ("kvgym/cluster/cost.py", "from .. import sim", "kvgym.sim"),
        ("kvgym/workload/__init__.py", "from ..cluster import spec", "kvgym.cluster"),
        ("kvgym/sim/kernels/engine.py", "from ...scenarios import scenario", "kvgym.scenarios"),
        ("kvgym/_check.py", "import kvgym.cluster.cost", "kvgym.cluster.cost"),
        ("kvgym/envs/route.py", "import envs_registry", "envs_registry"),
        ("envs_registry.py", "import kvgym", "kvgym"),
        ("agents/lbgr.py", "from kvgym.evaluation.validate import main", "kvgym.evaluation.validate"),
        (
            "kvgym/cluster/cost.py",
            "from kvgym.evaluation.closed_loop import closed_loop",
            "kvgym.evaluation.closed_loop",
        ),
        ("envs_registry.py", "from agents.eviction.rlt import Rlt", "agents.eviction.rlt"),
        ("kvgym/evaluation/report.py", "from studies import theory", "studies"),
        ("agents/routing/lbgr.py", "from studies.theory import values", "studies.theory"),
    ],
)
def test_a_made_up_violation_is_found(path, source, expected):
    (found,) = violations({path: source})
    assert found.startswith(f"{path}:")
    assert found.endswith(f" imports {expected}")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("kvgym/cluster/cost.py", "from kvgym import _check, __version__\nimport numpy"),
        (
            "kvgym/cluster/spec.py",
            "from .cost import IterationCost\nfrom . import cost\nfrom ..workload import prompts",
        ),
        ("kvgym/sim/__init__.py", "from .kernels import engine\nfrom kvgym.cluster import EngineSpec"),
        ("kvgym/_other.py", "from kvgym import _check"),
        ("kvgym/__init__.py", "import envs_registry\nfrom kvgym.evaluation import report"),
        ("agents/lbgr.py", "from kvgym import Simulator\nfrom . import base"),
        ("studies/lbgr_study.py", "from agents import make_agent\nfrom kvgym.evaluation import play"),
        ("kvgym/_cli.py", "from kvgym.cluster.catalogue import load_catalogue"),
    ],
)
def test_imports_that_run_the_right_way_are_left_alone(path, source):
    assert violations({path: source}) == []


def test_a_folder_that_is_not_in_the_order_is_named():
    with pytest.raises(ValueError, match=r"kvgym\.extra\.thing is at no place of the order"):
        violations({"kvgym/extra/thing.py": ""})


# Rooms of a package, in the order in which they may import each other: each those before it, never those after it.
# "" are the files that lie in the package itself.
ROOMS: dict[str, tuple[str, ...]] = {"kvgym.sim": ("base", "evictors", "cache", "routing", "engine", "fleet", "")}


def module_of(path: str) -> tuple[str, bool]:
    """A file's module, and whether it is a package's __init__.py."""
    parts = list(Path(path).with_suffix("").parts)
    is_package = parts[-1] == "__init__"
    return ".".join(parts[:-1] if is_package else parts), is_package


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when a module is imported, but for those that only a type checker reads."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from top_level(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            for part in ("body", "orelse", "finalbody"):
                yield from top_level(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from top_level(handler.body)


def import_graph(files: dict[str, str]) -> dict[str, set[str]]:
    """Modules among `files` that each of them imports at module level; a package where a name is its own."""
    modules = {module_of(path)[0] for path in files}
    graph: dict[str, set[str]] = {}
    for path, source in files.items():
        module, is_package = module_of(path)
        found = graph.setdefault(module, set())
        for node in top_level(ast.parse(source).body):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                package = module.split(".")[: None if is_package else -1]
                base = [*package[: len(package) - node.level + 1]] if node.level else []
                name = ".".join([*base, *([node.module] if node.module else [])])
                inner = {f"{name}.{alias.name}": name for alias in node.names}
                found |= {place if place in modules else outer for place, outer in inner.items()}
        found &= modules
        found.discard(module)
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, the first one found; [] where there is none."""
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def up_the_rooms(graph: dict[str, set[str]], package: str, rooms: tuple[str, ...]) -> list[str]:
    """Imports between rooms of a package that run back up."""

    def place(module: str) -> int:
        parts = module.removeprefix(package).split(".")[1:]
        return rooms.index(parts[0] if parts and any(m.startswith(f"{package}.{parts[0]}.") for m in graph) else "")

    return [
        f"{module} imports {name}"
        for module, names in sorted(graph.items())
        for name in sorted(names)
        if module.startswith(f"{package}.") and name.startswith(f"{package}.") and place(name) > place(module)
    ]


def test_no_circles_between_files():
    files = project_files()
    for path in ROOT.glob("benchmarks/*.py"):
        files[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
    graph = import_graph(files)
    assert len(graph["kvgym.scenarios.scenario"]) > 5
    assert circle(graph) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a.py": "import b", "b.py": "from a import x"}, {"a", "b"}),
        ({"p/__init__.py": "from p.a import x", "p/a.py": "from p.b import y", "p/b.py": "from p import x"}, {"p"}),
        ({"p/__init__.py": "", "p/a.py": "from . import b", "p/b.py": "from .a import x"}, {"p.a", "p.b"}),
        ({"a.py": "try:\n    import b\nexcept ImportError:\n    pass", "b.py": "import a"}, {"a", "b"}),
        ({"a.py": "def f():\n    import b", "b.py": "import a"}, set()),
        ({"a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import b", "b.py": "import a"}, set()),
        ({"p/__init__.py": "from p.a import x", "p/a.py": "from p import b", "p/b.py": ""}, set()),
    ],
)
def test_a_made_up_circle_is_found(files, expected):
    found = set(circle(import_graph(files)))
    assert found >= expected if expected else not found


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_one_way(package):
    assert up_the_rooms(import_graph(project_files()), package, ROOMS[package]) == []


def test_an_import_that_runs_back_up_is_found():
    files = {
        "p/__init__.py": "from p.high.a import x",
        "p/tables.py": "import p.low.b",
        "p/low/__init__.py": "",
        "p/low/b.py": "from p import tables\nfrom p.high import a",
        "p/high/a.py": "from p.low import b\nfrom p.tables import x",
    }
    graph = import_graph(files)
    assert up_the_rooms(graph, "p", ("low", "", "high")) == ["p.low.b imports p.high.a", "p.low.b imports p.tables"]
    with pytest.raises(ValueError, match="not in tuple"):
        up_the_rooms(graph, "p", ("low", ""))


def test_what_the_wheel_moves_names_itself_relatively():
    """`agents` and `studies.theory` lie inside kvgym there, and a top-level `agents` may be somebody else's."""
    for path, source in project_files().items():
        absolute = [
            name
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0)
            for name in ([node.module] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
        ]
        if not path.startswith("studies/") or path.startswith("studies/theory/"):
            assert not [name for name in absolute if name.split(".")[0] in ("agents", "studies")], path


@pytest.mark.parametrize("package", ["kvgym", "agents"])
def test_imports_are_cheap(package):
    code = f"import sys, {package}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == []
