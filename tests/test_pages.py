"""The pages: no long lines, no dead links, and citations of docs/semantics.md that name rules it has."""

import ast
import importlib
import re
from itertools import chain, pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(ROOT.glob("docs/*.md"))
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
LAW = "docs/semantics.md"
FOLDERS = ("kvgym", "agents", "studies", "benchmarks", "tests")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")) if path != Path(__file__)]
CITATION = re.compile(r"docs/semantics\.md(#[\w-]+(?:, #[\w-]+)*)")


def prose(page):
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def titles(page):
    return re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)


def anchors(page):
    """The anchors that GitHub gives the headings of a page; of equal ones only the first."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles(page)}


def cited(text):
    return set(chain.from_iterable(re.findall(r"#([\w-]+)", found) for found in CITATION.findall(text)))


@pytest.mark.parametrize("name", NAMES)
def test_lines_have_at_most_120_columns(name):
    # A row of a table can't be broken.
    lines = enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
    assert [(number, len(line)) for number, line in lines if len(line) > 120 and not line.startswith("|")] == []


@pytest.mark.parametrize("name", NAMES)
def test_links_between_pages_lead_somewhere(name):
    page = ROOT / name
    links = re.findall(r"\]\((?!https?://|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)", prose(page))
    for target, anchor in links:
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{name} links to {target}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{name} links to #{anchor} of {target or name}"


def test_every_rule_has_an_anchor_of_its_own():
    ids = [title.split()[0] for title in re.findall(r"^### (.+)$", prose(ROOT / LAW), re.MULTILINE)]
    wanted = {"K": 3, "W": 5, "C": 8, "E": 6, "T": 6, "F": 6, "D": 8}
    assert sorted(ids) == sorted(f"{letter}{n}" for letter, last in wanted.items() for n in range(1, last + 1))
    assert len(anchors(ROOT / LAW)) == len(titles(ROOT / LAW))


def test_citations_in_code_name_rules_that_there_are():
    have, ids = anchors(ROOT / LAW), {title.split()[0] for title in titles(ROOT / LAW)}
    for path in SOURCES:
        text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
        assert cited(text) <= have, f"{name} cites {cited(text) - have}"
        if name.startswith(("kvgym/sim/", "tests/reference/", "tests/test_reference")):
            short = set(re.findall(r"(?:\(|\brules? |\band |\bto |, )([KWCETFD]\d+)\b", text))
            assert short <= ids, f"{name} cites {short - ids}"


def test_citations_have_one_form():
    # "docs/semantics.md#t3-start, #t4-end", in a file that cites so also "T3": no number that a reader has to look up.
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        other = re.search(r"docs/semantics\.md,? [KWCETFD]?\d|\b[Dd]etails? \d|\d of docs/semantics\.md(?!#)", text)
        assert other is None, f"{path.relative_to(ROOT)}: {other and other[0]}"


def test_a_citation_is_found():
    assert cited("see docs/semantics.md#t3-start, #t4-end.") == {"t3-start", "t4-end"}


@pytest.mark.parametrize("name", ["README.md", "docs/first_steps.md", "docs/clusters.md", "docs/watch.md"])
def test_code_runs(name, tmp_path, monkeypatch):
    # Other pages' code is run by tests beside what it shows.
    monkeypatch.chdir(tmp_path)
    names = {"__name__": name}
    for block in re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.M | re.S):
        exec(compile(block, name, "exec"), names)


PACKAGES = [
    ".".join(path.parent.relative_to(ROOT).parts)
    for folder in ("kvgym", "agents")
    for path in sorted((ROOT / folder).rglob("__init__.py"))
    if "__all__" in path.read_text(encoding="utf-8")
]


def explained():
    """Names of constants with a text below them, in all files of the two folders."""
    for path in chain((ROOT / "kvgym").rglob("*.py"), (ROOT / "agents").rglob("*.py")):
        for line, below in pairwise(ast.parse(path.read_text(encoding="utf-8")).body):
            if isinstance(line, ast.Assign | ast.AnnAssign) and isinstance(below, ast.Expr):
                yield ast.unparse(line.targets[0] if isinstance(line, ast.Assign) else line.target)


def test_every_exported_name_has_a_text_and_so_a_place_on_the_site():
    constants = set(explained())
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            assert value.__doc__ if callable(value) else name in constants, f"{package}.{name}"
