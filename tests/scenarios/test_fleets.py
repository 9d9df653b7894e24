"""Fleets: keys of a worker as overrides, files of overrides, and the options of commands."""

import argparse
import json

import gymnasium as gym
import pytest

from kvgym.scenarios import command_line, get_scenario


def options(*argv, names=("gsp-stable",)):
    parser = argparse.ArgumentParser()
    command_line.add_options(parser)
    return command_line.scenarios(parser.parse_args([str(one) for one in argv]), list(names))


def test_keys_of_a_worker_make_a_fleet():
    scenario = get_scenario("gsp-stable", {"gpu": "h100", "count": 8})
    assert scenario.workers == ({"model": "llama-3.1-8b", "gpu": "h100", "count": 8},)
    assert len(get_scenario("mixed-fleet", {"gpu": "h100"}).cluster) == len(get_scenario("mixed-fleet").cluster)
    with pytest.raises(ValueError, match="worker 0: 'model' is missing"):
        get_scenario("sanity", {"gpu": "h100"})
    assert len(get_scenario("sanity", {"model": "llama-3.1-8b", "gpu": "h100"}).cluster) == 2


def test_kv_memory_of_a_worker_of_the_catalogue():
    plain, small = (get_scenario("gsp-stable", more).cluster.workers[0] for more in ({}, {"kv_tokens": 16_000}))
    assert small.kv_pages == 1000 < plain.kv_pages
    assert small.cost == plain.cost


def test_two_models_are_refused():
    workers = [{"model": "llama-3.1-8b", "gpu": "h100"}, {"model": "llama-3.1-70b", "gpu": "h100", "tp": 4}]
    with pytest.raises(ValueError, match=r"workers must serve one model, got llama-3\.1-8b, llama-3\.1-70b"):
        get_scenario("gsp-stable", {"workers": workers})


@pytest.mark.parametrize("name", ["fleet.json", "fleet.yml"])
def test_one_file_serves_commands_and_environments(tmp_path, name):
    fields = {"gpu": "h200", "count": 3, "engine": {"preset": "vllm-v1"}, "slo_ttft_s": 0.5, "view": "exact"}
    file = tmp_path / name
    file.write_text(json.dumps(fields))
    env = gym.make("kvgym:KVGym/Route-v0", scenario="gsp-stable", scenario_overrides=str(file)).unwrapped
    ((_, changes),) = options("--fleet", file)
    assert env.scenario == get_scenario("gsp-stable", changes) == get_scenario("gsp-stable", fields)


def test_assignments_go_before_the_file(tmp_path):
    file = tmp_path / "fleet.json"
    file.write_text(json.dumps({"engine": {"page_size": 32, "max_running": 64}, "count": 3}))
    ((_, changes),) = options("--fleet", file, "--set", "engine.page_size=64", "count=5", "view=exact")
    assert changes == {"engine": {"page_size": 64, "max_running": 64}, "count": 5, "view": "exact"}
    scenario = get_scenario("gsp-stable", changes)
    assert (scenario.engine.page_size, scenario.engine.max_running, len(scenario.cluster)) == (64, 64, 5)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--set", "count"], "--set must be FIELD=VALUE"),
        (["--set", "engine..page_size=3"], "--set must be FIELD=VALUE"),
        (["--fleet", "no.yml"], "--fleet must be an existing file"),
        (["--max-requests", "all"], "--max-requests says how to play a trace"),
        (["--rate-scale", "0"], "--rate-scale must be a finite number > 0"),
    ],
)
def test_what_is_refused(argv, message):
    with pytest.raises(ValueError, match=message):
        options(*argv)
