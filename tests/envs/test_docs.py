"""docs/environments.md says what the code does."""

import inspect
import re

import pytest

from envs_registry import ENVIRONMENTS
from kvgym.envs.base import FINISHED_COLUMNS
from kvgym.envs.route import RouteEnv
from tests.envs.docs_tables import PAGE, rendered
from tests.envs.helpers import make, play

TEXT = PAGE.read_text(encoding="utf-8")
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


def test_the_tables_are_those_of_the_code():
    assert rendered(TEXT) == TEXT, "python -m tests.envs.docs_tables writes the tables again"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_id_has_a_section_with_all_parts(name):
    assert re.findall(r"^### (.+)$", SECTIONS[name], re.MULTILINE) == PARTS
    assert list(SECTIONS) == list(ENVIRONMENTS)


def cells(section, column=0):
    """A column of all tables of the section's part "Arguments" or "Info"."""
    rows = re.findall(r"^\| (.+) \|$", section, re.MULTILINE)
    return [row.split(" | ")[column].strip("`") for row in rows]


def part(name):
    return SECTIONS["KVGym/Route-v0"].split(f"### {name}\n")[1].split("###")[0]


def test_arguments_and_defaults():
    table = part("Arguments").split("<!--")[0]
    documented = dict(zip(cells(table)[1:], cells(table, 1)[1:], strict=True))
    parameters = list(inspect.signature(RouteEnv.__init__).parameters.values())[1:]
    assert documented == {p.name: repr(p.default).replace("'", '"') for p in parameters}
    for name in documented:
        assert f"| `{name}` |" in RouteEnv.__doc__


def test_info_keys_and_columns():
    info = play(make(), seed=0)[-1][4]
    assert cells(part("Info"))[1:] == list(info)
    text = " ".join(part("Info").split())
    assert ", ".join(FINISHED_COLUMNS[1:]) in text
    metrics = inspect.getdoc(__import__("kvgym.envs.metrics", fromlist=["m"]).episode_metrics)
    for name in info["episode_metrics"]:
        assert name.rsplit("_p", 1)[0] in metrics or name.replace("_p50", "_mean") in metrics


def test_the_length_of_the_observation():
    env = make()
    assert f"length {14} + {22} M" in TEXT
    assert env.observation_space.shape == (14 + 22 * env.action_space.n,)
    assert "length 14 + 22 M" in RouteEnv.__doc__
