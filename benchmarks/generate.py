"""Requests per second that the generators of workloads make, prefix tree included.

    python -m benchmarks.generate [--quick] [--rounds N] [--out FILE]

Each row: 200,000 requests at once (a training episode's few hundred take the same time each), one thread, pages of 16
tokens.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from benchmarks.timing import command, rates, report
from kvgym.workload import PRESETS, PROCESSES, Workload, arrive, gsp, preset

PAGE_SIZE = 16
SETTINGS = {"gamma": {"cv": 2.0}, "weibull": {"cv": 2.0}, "ramp": {"factor": 2.0, "over_s": 60.0}}
SETTINGS["profile"] = {"times_s": [0.0, 60.0], "levels": [1.0, 2.0]}  # type: ignore[dict-item]


def main(argv: list[str] | None = None) -> None:
    """Measures and prints both tables."""
    parser = command("generate", __doc__, 3)
    parser.add_argument("--quick", action="store_true", help="20,000 requests at once")
    args = parser.parse_args(argv)
    n = 20_000 if args.quick else 200_000

    def made(make: Callable[[], Workload]) -> Callable[[], int]:
        return lambda: len(make())

    generators = {"gsp": made(lambda: gsp(0, PAGE_SIZE, prompts_per_group=n // 128 + 1, requests=n))}
    for name in PRESETS:
        generators[f"preset {name}"] = made(lambda name=name: preset(0, PAGE_SIZE, name=name, requests=n))  # type: ignore[misc]
    processes = {
        name: lambda name=name: len(arrive(0, n, {"process": name, **SETTINGS.get(name, {})}, 10.0).seconds)
        for name in PROCESSES
    }
    tables = [
        [
            {"what": name, "requests/s": round(statistics.median(values))}
            for name, values in rates(one, args.rounds).items()
        ]
        for one in (generators, processes)
    ]
    report("requests that generators make per second", tables[0], args.out, {"arrival processes alone": tables[1]})


if __name__ == "__main__":
    main()
