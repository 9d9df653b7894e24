import json
import math

import pytest

from kvgym import _atomic
from kvgym.evaluation import files
from kvgym.evaluation.files import ResultError
from kvgym.evaluation.runs import SCHEMA_VERSION, Store, machine, read_run, write_run

WHERE = {"cpu": "abacus", "cores": 2}


@pytest.fixture
def written(tmp_path, made_up):
    episodes = {seed: made_up.episode(seed, 2.0 + seed) for seed in (3, 1)}
    return write_run(tmp_path, made_up.identity(), WHERE, episodes)


def change(path, edit, rehash=True):
    """Edits a result file; `rehash` gives it a run id that fits again."""
    value = json.loads(path.read_text())
    edit(value)
    if rehash:
        value["run_id"] = files.digest({name: item for name, item in value.items() if name != "run_id"})
    path.write_text(json.dumps(value))


def test_what_is_written_is_read(written, made_up):
    identity, where, episodes = read_run(written)
    assert identity == made_up.identity()
    assert where == WHERE
    assert list(episodes) == [1, 3]
    assert math.isnan(episodes[1].metrics["tpot_mean"])
    for seed, found in episodes.items():
        expected = made_up.episode(seed, 2.0 + seed)
        assert found.as_dict() | {"metrics": 0} == expected.as_dict() | {"metrics": 0}
        assert {**found.metrics, "tpot_mean": 0} == {**expected.metrics, "tpot_mean": 0}


def test_the_file_is_plain_json_and_holds_no_folders(written):
    assert written.name.startswith("gsp--where.py_Mine--lru--")
    json.loads(written.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [path.name for path in written.parent.iterdir()] == [written.name]


def test_writing_again_gives_the_same_bytes(written, made_up, tmp_path):
    episodes = {seed: made_up.episode(seed, 2.0 + seed) for seed in (1, 3)}
    again = write_run(tmp_path / "again", made_up.identity(), WHERE, episodes)
    assert again.name == written.name
    assert again.read_bytes() == written.read_bytes()


def test_a_failed_write_leaves_the_old_file(written, monkeypatch):
    before = written.read_bytes()
    monkeypatch.setattr(_atomic.os, "replace", lambda *paths: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        _atomic.write(written, "new")
    assert written.read_bytes() == before
    assert len(list(written.parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("edit", "rehash", "message"),
    [
        (
            lambda value: value.update(schema_version=99),
            True,
            f"schema_version is 99, this version reads {SCHEMA_VERSION}",
        ),
        (lambda value: value["episodes"][0].update(J=0.1), False, "was changed after it was written"),
        (lambda value: value.pop("episodes"), True, "expected 'episodes' to be a list"),
        (lambda value: value.update(machine=3), True, "expected 'machine' to be a dict"),
        (
            lambda value: value["identity"].pop("evictor"),
            True,
            r"identity has missing or unknown fields: \['evictor'\]",
        ),
        (
            lambda value: value["episodes"][1].update(extra=1),
            True,
            r"episode 1 has missing or unknown fields: \['extra'\]",
        ),
        (lambda value: value["episodes"][0].update(J="fast"), True, "expected 'J' to be a float, got 'fast'"),
        (lambda value: value["episodes"][0].update(J=None), True, "expected 'J' to be a float, got None"),
        (lambda value: value["episodes"].pop(), True, r"protocol.seeds is \[1, 3\], the episodes have \[1\]"),
        (lambda value: value["episodes"][0].update(seed=3), True, r"the episodes have \[3, 3\]"),
    ],
)
def test_a_file_that_is_not_as_written_is_refused_by_name(written, edit, rehash, message):
    change(written, edit, rehash)
    with pytest.raises(ResultError, match=message) as error:
        read_run(written)
    assert str(written) in str(error.value)


@pytest.mark.parametrize(("text", "message"), [("{", "no JSON"), ("[]", "expected a JSON object, got list")])
def test_a_file_that_is_something_else_is_refused(tmp_path, text, message):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ResultError, match=message):
        read_run(path)


def test_the_store_remembers(tmp_path, made_up):
    who, other = made_up.identity(), made_up.identity(scenario_version=1)
    Store(tmp_path).add(who, [made_up.episode(0)])
    store = Store(tmp_path)
    store.add(who, [made_up.episode(1)])
    assert set(Store(tmp_path).episodes(who)) == {0, 1}
    assert Store(tmp_path).episodes(other) == {}
    assert len(list(tmp_path.iterdir())) == 1


def test_episodes_of_another_machine_are_found_but_kept_apart(tmp_path, made_up):
    who = made_up.identity()
    elsewhere = write_run(tmp_path, who, WHERE, {0: made_up.episode(0)})
    before = elsewhere.read_bytes()
    store = Store(tmp_path)
    assert set(store.episodes(who)) == {0}
    store.add(who, [made_up.episode(1)])
    assert elsewhere.read_bytes() == before
    (own,) = (path for path in tmp_path.iterdir() if path != elsewhere)
    _, where, episodes = read_run(own)
    assert where == machine()
    assert set(episodes) == {1}
    assert set(Store(tmp_path).episodes(who)) == {0, 1}


def test_a_store_without_a_folder_writes_nothing(made_up):
    store = Store(None)
    store.add(made_up.identity(), [made_up.episode(0)])
    assert set(store.episodes(made_up.identity())) == {0}


def test_the_machine_is_described():
    found = machine()
    assert set(found) == {"cpu", "cores", "python", "numpy", "numba", "gymnasium"}
    assert found["cores"] >= 1
    assert all(found.values())


def test_files_that_a_result_depends_on_are_hashed(tmp_path):
    trace = tmp_path / "trace.jsonl"
    trace.write_text("one")
    value = {"recipe_args": {"path": str(trace), "format": "mooncake"}, "x": [str(trace), 3]}
    first = files.file_hashes(value)
    assert list(first) == ["trace.jsonl"]
    trace.write_text("two")
    assert files.file_hashes(value) != first
    assert files.without_folders(value) == {
        "recipe_args": {"path": "trace.jsonl", "format": "mooncake"},
        "x": ["trace.jsonl", 3],
    }


def test_other_code_is_another_hash(tmp_path):
    (tmp_path / "sub").mkdir()
    code = tmp_path / "sub" / "a.py"
    code.write_text("x = 1")
    before = files.source_hash(tmp_path)
    (tmp_path / "notes.txt").write_text("no code")
    assert files.source_hash(tmp_path) == before
    code.write_text("x = 2")
    changed = files.source_hash(tmp_path)
    code.rename(tmp_path / "a.py")
    assert len({before, changed, files.source_hash(tmp_path)}) == 3


@pytest.mark.parametrize("name", ["catalogue.json", "published.json"])
def test_figures_of_gpus_and_models_count_as_sources(tmp_path, name):
    (tmp_path / name).write_text("{}")
    before = files.source_hash(tmp_path)
    (tmp_path / name).write_text('{"gpus": {}}')
    assert files.source_hash(tmp_path) != before


def test_the_hash_of_the_sources_does_not_say_where_they_lie(tmp_path):
    for package, agents in (("flat/kvgym", "flat/agents"), ("deep/kvgym", "deep/kvgym/agents")):
        for folder, text in ((package, "a"), (agents, "b")):
            (tmp_path / folder).mkdir(parents=True)
            (tmp_path / folder / "one.py").write_text(text)
    study = tmp_path / "deep" / "kvgym" / "theory"
    study.mkdir()
    (study / "two.py").write_text("c")
    flat = files.source_hash(tmp_path / "flat" / "kvgym", tmp_path / "flat" / "agents")
    deep = tmp_path / "deep" / "kvgym"
    assert files.source_hash(deep, deep / "agents", but=[study]) == flat
    assert files.source_hash(deep, deep / "agents") != flat
    (deep / "agents" / "one.py").write_text("changed")
    assert files.source_hash(deep, deep / "agents", but=[study]) != flat
