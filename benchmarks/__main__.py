"""Runs the benchmarks, each in a process of its own, and writes RESULTS.md.

    python -m benchmarks [--quick] [--only NAME ..] [--again] [--out DIR]

Goes on where it stopped: what has a JSON file in DIR is not measured again unless --again is given. --quick runs the
smallest form of everything, in a few minutes; its figures say only that it runs, so its page goes to DIR as well.
`benchmarks.pooled_replay` needs a trace, `benchmarks.checkouts` a second checkout: they are run by hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.timing import render
from kvgym import _atomic, _command

FOLDER = Path(__file__).resolve().parent
QUICK: dict[str, list[str]] = {
    "simulate": ["--rounds", "1"],
    "step_rate": ["--rounds", "1"],
    "vector_rate": ["--rounds", "1", "--decisions", "2000"],
    "training": ["--quick"],
    "learning": ["--quick"],
    "peers": ["--quick"],
    "scale": ["--quick"],
    "memory": ["--quick"],
    "generate": ["--quick", "--rounds", "1"],
    "evict_time": ["--rounds", "1", "--pages", "1000", "2000"],
    "render_rate": ["--rounds", "1"],
    "decision_time": ["--decisions", "60", "--agents", "lmetric", "llmd"],
}
"""Modules that write JSON, in the order of the page, with the arguments of their smallest form."""


def arguments(name: str, quick: bool) -> list[str]:
    """Arguments of the interpreter, but for --out."""
    return ["-m", f"benchmarks.{name}", *(QUICK[name] if quick else [])]


def run(name: str, quick: bool, out: Path) -> bool:
    """Runs one benchmark into `out`/name.json; returns whether it worked, and says what went wrong if not."""
    place = out if name == "evict_time" else out / f"{name}.json"  # that one writes a figure, too
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments(name, quick), "--out", str(place)],
        cwd=FOLDER.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        tqdm.write(f"{name} failed with exit status {done.returncode}:\n{done.stdout[-3000:]}")
        return False
    tqdm.write(done.stdout)
    path = out / f"{name}.json"
    payload = read(path)
    payload["command"] = " ".join(["python", *arguments(name, quick)])
    payload["seconds"] = time.perf_counter() - began
    _atomic.write(path, json.dumps(payload, indent=1) + "\n")
    return True


def read(path: Path) -> dict[str, Any]:
    """Output of a benchmark."""
    payload: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return payload


def is_done(name: str, quick: bool, out: Path) -> bool:
    """Whether this form of a benchmark has been run to its end by this program."""
    path = out / f"{name}.json"
    return path.is_file() and read(path).get("command") == " ".join(["python", *arguments(name, quick)])


def markdown(payloads: Sequence[dict[str, Any]]) -> str:
    """The page: machines, then a section with command and tables for each payload.

    Args:
        payloads: As `benchmarks.timing.report` writes them; `python -m benchmarks` adds "command" and "seconds".
    """
    machines: list[dict[str, Any]] = []
    for payload in payloads:
        if payload["machine"] not in machines:
            machines.append(payload["machine"])
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks`. Figures depend on the machine; ratios less so.",
        "",
    ]
    for number, machine in enumerate(machines, 1):
        facts = ", ".join(f"{name} {value}" for name, value in machine.items())
        lines.append(f"- Machine {number}: {facts}")
    for payload in payloads:
        lines += ["", *section(payload, machines.index(payload["machine"]) + 1)]
    return "\n".join(lines) + "\n"


def section(payload: dict[str, Any], machine: int) -> list[str]:
    """Lines of one benchmark."""
    lines = [
        f"## {payload['title'][:1].upper()}{payload['title'][1:]}",
        "",
        f"`{payload['command']}` ({payload['seconds']:.0f} s, machine {machine})",
        "",
        *render(payload["rows"], "github").splitlines(),
    ]
    for title, rows in payload.get("more", {}).items():
        lines += ["", f"{title[:1].upper()}{title[1:]}:", "", *render(rows, "github").splitlines()]
    return lines


def main(argv: list[str] | None = None) -> int:
    """Runs what is wanted and writes the page of all that is there."""
    parser = _command.parser("benchmarks", __doc__)
    parser.add_argument("--quick", action="store_true", help="smallest forms: a smoke test")
    parser.add_argument("--only", nargs="+", choices=QUICK, metavar="NAME", help=", ".join(QUICK))
    parser.add_argument("--again", action="store_true", help="measure what has been measured, too")
    parser.add_argument("--out", type=Path, help="folder of the JSON files; default: benchmarks/results[/quick]")
    args = parser.parse_args(argv)
    out = (args.out or (FOLDER / "results" / "quick" if args.quick else FOLDER / "results")).resolve()
    out.mkdir(parents=True, exist_ok=True)
    wanted = [name for name in args.only or QUICK if args.again or not is_done(name, args.quick, out)]
    failed = []
    try:
        for name in tqdm(wanted, unit="benchmark", disable=None):
            if not run(name, args.quick, out):
                failed.append(name)
    except KeyboardInterrupt:
        return _command.INTERRUPTED
    payloads = [read(out / f"{name}.json") for name in QUICK if is_done(name, args.quick, out)]
    page = (out if args.quick or args.out else FOLDER) / "RESULTS.md"
    _atomic.write(page, markdown(payloads))
    print(f"{len(payloads)} of {len(QUICK)} benchmarks in {page}" + (f"; failed: {failed}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
