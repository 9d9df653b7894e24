"""Scenarios and recipes of one's own, in every form in which they can be given."""

import inspect
import json
import pickle
import re
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import kvgym
from kvgym import Scenario, get_scenario, register_recipe, register_scenario
from kvgym.cluster import EngineSpec
from kvgym.scenarios import SCENARIOS, SUITE_SCENARIOS
from kvgym.scenarios.recipes import RECIPES
from tests.scenarios import own
from tests.workload.samples import mooncake_rows, write

FIELDS = own.shop.to_dict()
PLACE = "tests.scenarios.own:"


@pytest.fixture
def registries():
    """What a test registers is forgotten after it."""
    before = [(held, dict(held)) for held in (SCENARIOS, RECIPES)]
    yield
    for held, what in before:
        held.clear()
        held.update(what)


def workload(scenario, seed=0, split="train"):
    return scenario.workload(scenario.seeds(seed, split, 0)[0], split)


def saved(path, value):
    path.write_text(json.dumps(value) if isinstance(value, dict) else value, encoding="utf-8")
    return path


YAML = """
name: shop
text: orders in three shops
recipe: tests.scenarios.own:orders
recipe_args: {rate: 30}
workers:
  - {model: llama-3.1-8b, gpu: l40, count: 2}
  - {kv_tokens: 20000, cost: {w: 14, k: 0.05, a_kv: 1e-5}}   # YAML 1.2: a number
engine:
  max_running: 64
warmup_requests: 10
episode_requests: 60
"""


@pytest.mark.parametrize("form", ["object", "mapping", "json", "path", "yml", "yaml", "name", "function", "registered"])
def test_every_form_is_the_same_scenario(form, tmp_path, registries):
    register_scenario(own.shop)
    given = {
        "object": own.shop,
        "mapping": json.loads(json.dumps(FIELDS)),
        "json": str(saved(tmp_path / "a.json", FIELDS)),
        "path": tmp_path / "a.json",
        "yml": str(saved(tmp_path / "b.yml", YAML)),
        "yaml": saved(tmp_path / "c.YAML", YAML),
        "name": f"{PLACE}shop",
        "function": f"{PLACE}Shops.large",
        "registered": "shop",
    }[form]
    found = get_scenario(given)
    expected = own.shop if form != "function" else own.Shops.large()
    assert found == expected
    assert found.cluster == expected.cluster and found.key == expected.key
    assert workload(found).content_hash() == workload(expected).content_hash()
    assert get_scenario(given, {"episode_requests": 7}) == replace(expected, episode_requests=7)


@pytest.mark.parametrize("name", SUITE_SCENARIOS)
def test_scenarios_of_the_suite_survive_json(name):
    scenario = SUITE_SCENARIOS[name]
    fields = json.loads(json.dumps(scenario.to_dict()))
    assert get_scenario(fields) == Scenario(**fields) == scenario
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    assert get_scenario(fields).cluster == scenario.cluster


def test_all_fields_are_given_back():
    assert list(FIELDS) == [field.name for field in fields(Scenario)] == list(inspect.signature(Scenario).parameters)


def test_a_scenario_needs_only_name_recipe_and_workers():
    scenario = Scenario(name="plain", recipe="gsp", workers=own.WORKERS)
    assert (scenario.version, scenario.text, scenario.engine, scenario.recipe_args) == (0, "", EngineSpec(), {})
    assert len(workload(scenario)) == 4096


def test_values_become_plain_ones_that_nobody_else_holds(tmp_path):
    args = {"lengths": (512, np.int64(1024)), "rate": np.float64(3.0)}
    workers = [dict(own.WORKERS[1], kv_tokens=np.int32(20_000))]
    more = {"episode_requests": np.int64(9), "slo_ttft_s": np.float32(0.5), "engine": {"max_running": np.int16(4)}}
    scenario = Scenario(name="plain", recipe="gsp", recipe_args=args, workers=workers, **more)
    args["rate"] = 7.0
    workers[0]["cost"]["w"] = 14.0
    assert scenario.recipe_args == {"lengths": [512, 1024], "rate": 3.0}
    assert json.loads(json.dumps(scenario.to_dict())) == {**scenario.to_dict()}
    assert scenario.workers[0]["cost"] is not own.WORKERS[1]["cost"]
    traced = Scenario(name="t", recipe="trace", recipe_args={"path": tmp_path / "a"}, workers=workers)
    assert traced.recipe_args == {"path": str(tmp_path / "a")}


def test_files_and_mappings_may_start_from_another_scenario(tmp_path):
    changed = {"base": "gsp-stable", "name": "mine", "n_workers": 7, "engine": {"max_running": 8}, "slo_ttft_s": 3}
    scenario = get_scenario(saved(tmp_path / "a.json", changed))
    expected = get_scenario("gsp-stable", {"n_workers": 7, "engine": {"max_running": 8}, "slo_ttft_s": 3})
    assert scenario == replace(expected, name="mine", text="gsp-stable with other fields")
    assert get_scenario({**changed, "version": 3, "text": "seven"}).version == 3
    assert scenario.key != SCENARIOS["gsp-stable"].key  # other requests: it is another scenario


def test_a_trace_is_looked_for_beside_the_file(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder" / "a.jsonl", mooncake_rows(400, step_ms=500))
    changes = {"warmup_requests": 5, "episode_requests": 20}
    fields = {"base": "trace", "name": "mine", "recipe_args": {"path": "a.jsonl"}, **changes}
    path = saved(tmp_path / "folder" / "mine.json", fields)
    monkeypatch.chdir(tmp_path)
    for given in (path, Path("folder") / "mine.json"):
        assert len(workload(get_scenario(given))) >= 25
    absolute = {**fields, "recipe_args": {"path": str(tmp_path / "folder" / "a.jsonl")}}
    assert get_scenario(saved(tmp_path / "b.json", absolute)).recipe_args == absolute["recipe_args"]


def test_yaml_is_imported_only_where_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    get_scenario(saved(tmp_path / "a.json", FIELDS))
    with pytest.raises(ValueError, match='YAML files need PyYAML: pip install pyyaml, or the extra "train"'):
        get_scenario(saved(tmp_path / "a.yml", YAML))


UNKNOWN = "'speed' (given 3) is not known; allowed are name, version, text, recipe, recipe_args, rate_scale, load, "
REFUSED = [
    ("gps", "scenario must be one of "),
    ("gps", "got 'gps'; or a file (.json, .yml, .yaml), \"module:name\", a mapping of fields, or a Scenario"),
    (5, "scenario must be one of "),
    (None, "got None; or a file"),
    ([FIELDS], "scenario must be one of "),
    ({}, "scenario: 'name' is missing; needed are name, recipe, workers, got {}"),
    ({"name": "a", "recipe": "gsp"}, "scenario: 'workers' is missing; needed are name, recipe, workers"),
    ({**FIELDS, "speed": 3}, UNKNOWN),
    ({**FIELDS, "n_workers": 3}, "scenario: 'n_workers' (given 3) is not known"),
    ({**FIELDS, "name": ""}, "name of a scenario must be a string with something in it, got ''"),
    ({**FIELDS, "name": 3}, "name of a scenario must be a string with something in it, got 3"),
    ({**FIELDS, "name": "a/b"}, "name of a scenario must be letters, digits, spaces and _ . + -, got 'a/b'"),
    ({**FIELDS, "name": "a:b"}, "name of a scenario must be letters, digits, spaces and _ . + -, got 'a:b'"),
    ({**FIELDS, "version": -1}, "version must be an integer >= 0, got -1"),
    ({**FIELDS, "engine": 5}, "engine must be a mapping of names to values, got 5"),
    ({**FIELDS, "engine": {"speed": 1}}, "engine: 'speed' (given 1) is not known; allowed are page_size, "),
    ({**FIELDS, "workers": []}, "workers must be a list of worker descriptions, got []"),
    ({**FIELDS, "recipe": "gps"}, "recipe must be one of gsp, "),
    ({**FIELDS, "recipe_args": {"speed": 3}}, "orders: 'speed' (given 3) is not known; allowed are rate, shops"),
    ({"base": "gsp"}, "scenario: 'name' is missing; a variant must have a name, got {}"),
    ({"base": "gps", "name": "a"}, "base of scenario must be one of "),
    ({"base": ["gsp"], "name": "a"}, "base of scenario must be one of "),
    ({"base": "gsp", "name": "a", "speed": 3}, "field of scenario must be one of base, name, version, text, recipe, "),
    (f"{PLACE}ship", "scenario 'tests.scenarios.own:ship': module 'tests.scenarios.own' has no 'ship'"),
    (f"{PLACE}nothing", "must be a Scenario, or a function that returns one; got 'shop'"),
    (f"{PLACE}WORKERS", "must be a Scenario, or a function that returns one; got [{"),
    (
        "tests.scenarios.owl:shop",
        "scenario 'tests.scenarios.owl:shop': there is no module 'tests.scenarios.owl' in",
    ),
    ("nowhere.at.all:shop", "there is no module 'nowhere' in the folders that Python imports from"),
    (":shop", "scenario must be \"module:name\", got ':shop'"),
    ("module:", "scenario must be \"module:name\", got 'module:'"),
    ("own.py:shop", 'scenario must be "module:name" (the module as in `import`, without a folder and .py), got '),
    ("a/own.py:shop", 'scenario must be "module:name" (the module as in `import`, without a folder and .py), got '),
    ("nowhere.json", "scenario must be an existing file where it ends in .json; got nowhere.json, which is not there"),
    (Path("nowhere.yml"), "scenario must be an existing file where it ends in .yml; got nowhere.yml, which is not the"),
    (Path("gsp"), "scenario must be a file that ends in .json, .yml, .yaml, got 'gsp'"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_what_is_refused_is_named(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        get_scenario(given)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "a.json: Expecting property name"),
        ("a.json", "[1]", "a.json: must hold the fields of a scenario, it holds [1]"),
        ("a.json", json.dumps({**FIELDS, "speed": 3}), f"a.json: scenario: {UNKNOWN}"),
        ("a.json", json.dumps({**FIELDS, "engine": {"page_size": "x"}}), "a.json: page_size must be an integer >= 1"),
        ("a.yml", "name: [", "a.yml: no YAML: "),
        ("a.yml", "", "a.yml: must hold the fields of a scenario, it holds None"),
        ("a.yml", YAML + "since: 2024-01-01\n", "a.yml: scenario: 'since' "),
        ("a.yml", "{base: gsp, name: a, recipe_args: {rate: 2024-01-01}}", "rate of recipe_args must be a JSON value"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_the_file(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        get_scenario(saved(tmp_path / name, text))


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(ValueError, match=r"an existing file where it ends in .json; got .*a\.json, a folder"):
        get_scenario(tmp_path / "a.json")


def test_a_module_that_misses_another_one_says_so(tmp_path, monkeypatch):
    """Its own error, not ours: the module is there."""
    saved(tmp_path / "misses_one.py", "import nowhere_to_be_found\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nowhere_to_be_found"):
        get_scenario("misses_one:mine")


def test_registered_scenarios_have_names(registries):
    register_scenario(own.shop)
    register_scenario(get_scenario(FIELDS))  # the same once more
    assert get_scenario("shop") is own.shop
    for other in (replace(own.shop, slo_ttft_s=1.0), replace(own.shop, name="gsp")):
        with pytest.raises(ValueError, match=f"there is another scenario '{other.name}' already"):
            register_scenario(other)
    with pytest.raises(ValueError, match="scenario must be a Scenario, got 'shop'"):
        register_scenario("shop")
    with pytest.raises(ValueError, match=r"scenario must be one of .*, trace, .*, shop; got 'x'"):
        get_scenario("x")


def test_registered_recipes_have_names(registries):
    register_recipe("orders", own.orders)
    register_recipe("orders", own.orders)
    scenario = replace(own.shop, recipe="orders")
    assert workload(scenario).content_hash() == workload(own.shop).content_hash()
    with pytest.raises(ValueError, match=r"recipe_args of orders: 'speed' .* not known; allowed are rate, shops"):
        replace(scenario, recipe_args={"speed": 3})
    for name in ("orders", "gsp"):
        with pytest.raises(ValueError, match=f"there is a recipe '{name}' already"):
            register_recipe(name, own.short)
    for name, what in (("a:b", "no colon, got 'a:b'"), ("", "something in it, got ''"), (5, "something in it, got 5")):
        with pytest.raises(ValueError, match=f"name of a recipe must .*{what}"):
            register_recipe(name, own.orders)
    for wrong in (5, own.of_three, None):
        form = re.escape("must be a function (seed, page_size, wanted, split, **recipe_args), got ")
        with pytest.raises(ValueError, match=f"recipe 'wrong' {form}"):
            register_recipe("wrong", wrong)
    assert "wrong" not in RECIPES


@pytest.mark.parametrize(
    ("recipe", "args", "message"),
    [
        ("short", {}, r"'shop' plays 70 requests \(warmup_requests \+ episode_requests\), its workload has 5"),
        ("of_other_pages", {}, "own:of_other_pages' must return a Workload with pages of 16 tokens, got one of 17"),
        ("nothing", {}, "own:nothing' must be a function .seed, page_size, wanted, split, "),
        ("of_three", {}, "own:of_three' must be a function .seed, page_size, wanted, split, "),
        ("WORKERS", {}, "own:WORKERS' must be a function .seed, page_size, wanted, split, "),
        ("away", {}, "recipe 'tests.scenarios.own:away': module 'tests.scenarios.own' has no 'away'"),
        ("orders", {"page_size": 3}, "'page_size' .given 3. is not known; allowed are rate, shops"),
        ("with_any", {"speed": 3}, None),
        ("clumsy", {"rate": 3}, None),
    ],
)
def test_recipes_of_ones_own_that_are_wrong(recipe, args, message):
    """Errors of their own code are theirs: they are not dressed up as something else."""
    with pytest.raises(TypeError if message is None else ValueError, match=message):
        workload(replace(own.shop, recipe=PLACE + recipe, recipe_args=args))


def test_a_recipe_may_take_whatever_comes():
    scenario = replace(own.shop, recipe=f"{PLACE}with_any")
    assert workload(scenario).content_hash() == workload(own.shop).content_hash()


def test_a_recipe_that_spawns_seeds_plays_the_same_again():
    scenario = replace(own.shop, recipe=f"{PLACE}spawning", recipe_args={})
    seed = scenario.seeds(0, "train", 0)[0]
    assert scenario.workload(seed).content_hash() == scenario.workload(seed).content_hash()
    assert seed.n_children_spawned == 0


def test_splits_and_seeds_of_ones_own():
    hashes = {workload(own.shop, seed, split).content_hash() for seed in range(3) for split in ("train", "test")}
    assert len(hashes) == 6


def test_public_names():
    assert kvgym.get_scenario is get_scenario and kvgym.Scenario is Scenario
    assert {"register_scenario", "register_recipe", "get_scenario"} <= set(kvgym.__all__)
