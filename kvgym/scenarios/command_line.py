"""Options of all commands that play scenarios: which trace, on which fleet, with which other fields."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kvgym import _check
from kvgym.scenarios.find import get_scenario, read_overrides
from kvgym.workload import FORMATS

ALL = "all"
_WARMUP_SHARE = 8  # of the requests of a trace one in so many is played before counting starts
_OF_TRACE = ("format", "jitter", "max_requests")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_fleet(parser)
    add = parser.add_argument
    add("--trace", metavar="PATH", help="play a trace file")
    add("--format", choices=FORMATS, help="format of the trace (default: found out)")
    add("--jitter", type=float, metavar="S", help="spread arrivals of the trace over S seconds (default: " + _JITTER)
    add("--max-requests", type=_count, metavar="N|all", help=_REQUESTS)


def add_fleet(parser: argparse.ArgumentParser) -> None:
    """Adds those that any scenario takes."""
    add = parser.add_argument
    add("--fleet", metavar="FILE", help="a .yml or .json file of scenario fields to change: workers, engine, SLOs, ..")
    add("--set", nargs="+", action="extend", metavar="FIELD=VALUE", help=_SET)
    add("--rate-scale", type=float, metavar="X", help="requests, or sessions, arrive X times as fast")


_SET = """change a field: slo_ttft_s=2 view=exact count=8 gpu=h200 engine.page_size=32 engine.preset=vllm-v1
recipe_args.rate=20; values are JSON or words; goes before --fleet"""
_JITTER = "the steps that its times come in, where many are equal)"
_REQUESTS = "requests of the trace per episode, an eighth of them warm-up; all: every one counts"


def _count(text: str) -> int | str:
    return text if text == ALL else int(text)


def changes(options: argparse.Namespace) -> dict[str, Any]:
    """Fields that --fleet, --set and --rate-scale change, for `Scenario.with_overrides`.

    Raises:
        ValueError: If the file can't be read, or a text is no assignment.
    """
    found = {} if options.fleet is None else read_overrides(options.fleet, "--fleet")
    for text in options.set or ():
        found = merged(found, assignment("--set", text))
    if options.rate_scale is not None:
        if not _check.finite("--rate-scale", options.rate_scale) > 0:
            raise ValueError(f"--rate-scale must be a finite number > 0, got {options.rate_scale}")
        found["rate_scale"] = options.rate_scale
    return found


def assignment(option: str, text: str) -> dict[str, Any]:
    """The fields of "field=value"; "a.b=value" is a field of a field."""
    name, is_one, value = text.partition("=")
    if not is_one or not all(name.split(".")):
        raise ValueError(f"{option} must be FIELD=VALUE, such as slo_ttft_s=2 or engine.page_size=32; got {text!r}")
    return nested(name, plain_value(value))


def plain_value(text: str) -> Any:
    """JSON, or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def nested(name: str, value: Any) -> dict[str, Any]:
    """{"a": {"b": value}} for "a.b"."""
    for part in reversed(name.split(".")):
        value = {part: value}
    return dict(value)


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of both, mappings field by field; those of the second go before."""
    both = {**first, **second}
    for name in first.keys() & second.keys():
        if isinstance(first[name], Mapping) and isinstance(second[name], Mapping):
            both[name] = merged(first[name], second[name])
    return both


def scenarios(options: argparse.Namespace, names: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """The scenarios that are played, and the changes of each: those named, and "trace" where a file is given.

    Raises:
        ValueError: If an option is not allowed.
    """
    fields = changes(options)
    if options.trace is None:
        for name in _OF_TRACE:
            if getattr(options, name) is not None:
                option = f"--{name.replace('_', '-')}"
                raise ValueError(f"{option} says how to play a trace: give its file with --trace PATH")
        if "trace" in names and "path" not in fields.get("recipe_args", {}):
            raise ValueError("--scenario trace needs a trace file: give it with --trace PATH")
        return [(name, fields) for name in names]
    others = [(name, fields) for name in names if name != "trace"]
    return [*others, ("trace", merged(_trace(options), fields))]


def _trace(options: argparse.Namespace) -> dict[str, Any]:
    if not Path(options.trace).exists():
        raise ValueError(f"--trace: there is no file {options.trace}")
    arguments = {"path": options.trace} | ({"format": options.format} if options.format else {})
    if options.jitter is not None:
        arguments["jitter"] = _check.finite("--jitter", options.jitter)
    found: dict[str, Any] = {"recipe_args": arguments}
    if options.max_requests == ALL:
        least = {**found, "warmup_requests": 0, "episode_requests": 1}
        offered = get_scenario("trace", merged(merged(found, changes(options)), least)).trace_facts(options.split)
        assert offered is not None
        found |= {"warmup_requests": 0, "episode_requests": offered.requests}
    elif options.max_requests is not None:
        warmup = _check.whole("--max-requests", options.max_requests, 1) // _WARMUP_SHARE
        found |= {"warmup_requests": warmup, "episode_requests": options.max_requests - warmup}
    return found
