"""Notebooks are committed with outputs, use public names and say what to read next. The gate runs them."""

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from notebooks import run

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST = 100_000

of_each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_are_eight_and_all_are_linked():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number:02d}" for number in range(1, 9)]
    for page in (ROOT / "README.md", ROOT / "docs" / "notebooks.md"):
        text = page.read_text(encoding="utf-8")
        assert all(f"notebooks/{path.name})" in text for path in NOTEBOOKS), page.name


@of_each
def test_outputs_are_committed_and_small(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "python -m notebooks.run"
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs and not any(output.output_type == "error" for output in outputs)
    assert max(len(str(output)) for output in outputs) < LARGEST


@of_each
def test_only_public_names_are_used(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            source = "\n".join(line for line in cell.source.splitlines() if not line.startswith("%%"))
            if not cell.source.startswith("%%") or ".py" in cell.source.splitlines()[0]:
                assert [name for name in _names(ast.parse(source)) if _is_private(name)] == []


def _names(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (part for name in node.names for part in name.name.split("."))
            yield from (getattr(node, "module", None) or "").split(".")


def _is_private(name):
    return name.startswith("_") and not name.endswith("__")


@of_each
def test_the_end_says_what_to_read_next_and_links_lead_somewhere(path):
    texts = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    assert "## Next\n" in texts[-1]
    places = [part.partition(")")[0].partition("#")[0] for text in texts for part in text.split("](")[1:]]
    dead = [place for place in places if "://" not in place and not (path.parent / place).is_file()]
    assert dead == []


def test_a_name_that_no_notebook_has_is_refused(capsys):
    with pytest.raises(SystemExit):
        run.main(["99"])
    assert "name must be the beginning of a file in notebooks/, got 99" in capsys.readouterr().err


def test_one_that_fails_is_named_and_the_others_are_run(monkeypatch, capsys):
    def fails(path, *, save):
        assert not save
        if path.name.startswith("01"):
            raise CellExecutionError("traceback", "ValueError", "no")
        return 1.0

    monkeypatch.setattr(run, "run", fails)
    assert run.main(["01", "02", "--check"]) == 1
    printed = capsys.readouterr().out
    assert "01_first_steps FAILED\ntraceback" in printed and "02_rlt_and_the_theory 1.0 s" in printed
