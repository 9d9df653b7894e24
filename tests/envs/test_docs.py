"""docs/environments.md says what the code does."""

import inspect
import re
from dataclasses import fields
from importlib import import_module

import gymnasium as gym
import numpy as np
import pytest

from docs.site.tables import PAGES, TABLES, rendered
from envs_registry import ENVIRONMENTS
from kvgym.envs.base import FINISHED_COLUMNS
from kvgym.envs.evict import EvictEnv
from kvgym.envs.joint import JointEnv
from kvgym.envs.route import RouteEnv
from tests.envs.helpers import FORMS, make, make_form, play

TEXT = (PAGES / "environments.md").read_text(encoding="utf-8")
SECTIONS = dict(
    zip(re.findall(r"^## (.+)$", TEXT, re.MULTILINE), re.split(r"^## .+$", TEXT, flags=re.MULTILINE)[1:], strict=True)
)
PARTS = [
    "Description",
    "Action",
    "Observation",
    "Reward",
    "Start",
    "End",
    "Arguments",
    "Info",
    "Version history",
]


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_those_of_the_code(name):
    text = (PAGES / name).read_text(encoding="utf-8")
    assert rendered(name, text) == text, "python -m docs.site.tables writes the tables again"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_id_has_a_section_with_all_parts(name):
    assert re.findall(r"^### (.+)$", SECTIONS[name], re.MULTILINE) == PARTS
    assert list(SECTIONS) == list(ENVIRONMENTS)


def cells(section, column=0):
    """A column of all tables of the section's part "Arguments" or "Info"."""
    rows = re.findall(r"^\| (.+) \|$", section, re.MULTILINE)
    return [row.split(" | ")[column].strip("`") for row in rows]


def part(name, of="KVGym/Route-v0"):
    return SECTIONS[of].split(f"### {name}\n")[1].split("###")[0]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_arguments_and_defaults(name):
    table = part("Arguments", name).split("<!--")[0]
    documented = dict(zip(cells(table)[1:], cells(table, 1)[1:], strict=True))
    module, made = gym.spec(name).entry_point.split(":")
    arguments = fields(getattr(import_module(module), made).settings_class)
    assert documented == {argument.name: repr(argument.default).replace("'", '"') for argument in arguments}


@pytest.mark.parametrize("env", [RouteEnv, EvictEnv, JointEnv])
def test_docstrings_name_the_arguments(env):
    for argument in fields(env.settings_class):
        assert f"`{argument.name}`" in env.__doc__ or f"`{argument.name}`" in RouteEnv.__doc__


@pytest.mark.parametrize("form", FORMS)
def test_info_keys_and_columns(form):
    name, _ = FORMS[form]
    info = play(make_form(form), seed=0)[-1][4]
    assert cells(part("Info", name))[1:] == list(info)
    text = " ".join(part("Info").split())
    assert ", ".join(FINISHED_COLUMNS[1:]) in text
    metrics = inspect.getdoc(import_module("kvgym.envs.metrics").episode_metrics)
    for key in info["episode_metrics"]:
        assert key.rsplit("_p", 1)[0] in metrics or key.replace("_p50", "_mean") in metrics


def formula(text, **values):
    """Value of "14 + 22 w + i"."""
    return sum(int(np.prod([int(values.get(x, x)) for x in term.split()])) for term in text.split(" + "))


@pytest.mark.parametrize(("column", "form"), [(1, "joint"), (2, "evict"), (3, "evict-rule"), (4, "joint-leaf")])
def test_the_formulae_of_the_blocks(column, form):
    rows = re.findall(r"^\| (.+) \|$", TEXT.split("<!-- blocks")[1].split("<!-- end")[0], re.MULTILINE)[1:]
    places = {row.split(" | ")[0]: row.split(" | ")[column].strip() for row in rows}
    layout = make_form(form).layout
    known = {"M": layout.n_workers, "K": layout.n_candidates}
    assert formula(places["length"], **known) == layout.size
    assert formula(places["request"], i=3) == layout.request("has_prev")
    assert formula(places["worker w"], w=2, i=4) == layout.workers("miss").start + 2 * layout.workers("miss").step
    assert bool(places["decision"]) == (form == "joint-leaf")
    assert bool(places["wanted"]) == layout.evicts and bool(places["candidate c"]) == (layout.n_candidates > 0)
    if layout.evicts:
        assert formula(places["wanted"], i=1, **known) == layout.evict("need_pages")
    if layout.n_candidates:
        where = layout.candidates("depth")
        assert formula(places["candidate c"], c=3, i=4, **known) == where.start + 3 * where.step


def test_the_length_of_the_observation():
    env = make()
    assert "| length | 14 + 22 M |" in TEXT
    assert env.observation_space.shape == (14 + 22 * env.action_space.n,)


@pytest.mark.parametrize("example", re.findall(r"```python\n(.+?)```", TEXT, re.DOTALL))
def test_examples_run(example):
    exec(example, {})


def test_whose_the_warmup_is():
    for name in ("KVGym/Evict-v0", "KVGym/Joint-v0"):
        assert "warm-up evictions are the agent's" in " ".join(part("Start", name).split()).replace("W", "w")
