"""Commands about results that are there: tables of them, whether they come out again, an archive of them.

python -m agents.leaderboard aggregate DIR [DIR ..] --out DIR    tables of runs on several machines
python -m agents.leaderboard verify DIR --episodes 20            plays some of the episodes again, and compares
python -m agents.leaderboard submit DIR                          what a published row needs, in one archive
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from kvgym import _check, _command
from kvgym.evaluation.episode import Episode
from kvgym.evaluation.runs import Identity, Store, differences, read_run, write_run

from . import archive, folder
from .backends import Submit, add_places, opened
from .plan import Plan, Task
from .run import play_all

DIFFER, USAGE = 1, 2
Show = Callable[[folder.Kept, Store, Path | None], int]


def aggregate(argv: Sequence[str], show: Show) -> int:
    """Tables of what several folders hold; returns the exit code."""
    parser = _command.parser("agents.leaderboard aggregate", aggregate.__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="what --out of a run was")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write tables and all episodes there")
    options = parser.parse_args(argv)
    try:
        kept = folder.merged({path: folder.read(path) for path in options.folders})
        store = Store(None)
        for path in options.folders:
            store.read(path / folder.RUNS)
        if options.out:
            _gather(options.folders, options.out / folder.RUNS)
            folder.write(options.out, kept)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return show(kept, store, options.out)


def _gather(folders: Sequence[Path], out: Path) -> None:
    """Writes the episodes of all folders, those of one identity and machine into one file."""
    found: dict[str, tuple[Identity, dict[str, object], dict[int, Episode]]] = {}
    for path in (path for one in (*folders, out.parent) for path in sorted((one / folder.RUNS).glob("*.json"))):
        identity, where, episodes = read_run(path)
        found.setdefault(path.name, (identity, where, {}))[2].update(episodes)
    for identity, where, episodes in found.values():
        write_run(out, identity, where, episodes)


def verify(argv: Sequence[str]) -> int:
    """Plays some of the episodes of a folder, or of an archive of `submit`, again; returns the exit code."""
    parser = _command.parser("agents.leaderboard verify", verify.__doc__)
    parser.epilog = "Exit code: 0, 1 if an episode came out otherwise, 2 if an option is wrong."
    parser.add_argument("place", type=Path, metavar="DIR|FILE.zip", help="what --out of a run was, or an archive")
    parser.add_argument("--episodes", type=int, default=20, metavar="N", help="how many, drawn at random (20)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of that draw (0)")
    add_places(parser)
    options = parser.parse_args(argv)
    try:
        n = _check.whole("--episodes", options.episodes, 1)
        place = opened(options)
        with _unpacked(options.place) as (kept, store):
            chosen = _drawn(kept.plan, store, n, _check.whole("--seed", options.seed, 0))
            return _compare(chosen, store, place)
    except (ValueError, OSError) as error:
        parser.error(str(error))


@contextmanager
def _unpacked(place: Path) -> Iterator[tuple[folder.Kept, Store]]:
    """What a folder or an archive holds; files of an archive are there while the block runs."""
    with tempfile.TemporaryDirectory() as temporary:
        where = place if place.is_dir() else archive.unpack(place, Path(temporary))
        yield folder.read(where, archive.located(where)), Store(where / folder.RUNS)


def _drawn(plan: Plan, store: Store, n: int, seed: int) -> list[Task]:
    """So many of the stored episodes, each a task with the salt that it had."""
    tasks = [
        task._replace(seeds=(one,), terms=replace(task.terms, salt=there[one].salt))
        for case in plan.cases
        for task in plan.tasks(case)
        if (there := store.episodes(task.identity))
        for one in sorted(there.keys() & set(task.seeds))
    ]
    if not tasks:
        raise ValueError("there is no episode in it")
    return random.Random(seed).sample(tasks, min(n, len(tasks)))


def _compare(tasks: list[Task], store: Store, place: AbstractContextManager[Submit] | None) -> int:
    """Says which episodes come out otherwise."""
    lines: list[str] = []
    for task, (done, failure) in play_all(tasks, place):
        (seed,) = task.seeds
        there = store.episodes(task.identity)[seed]
        reason = failure.reason if failure else ", ".join(differences(there, done[0]))
        if reason:
            now, then = task._replace(known=None).identity.as_dict(), task.identity.as_dict()
            if others := [name for name in then if now[name] != then[name]]:
                reason += f"; played with another {', '.join(others)}"
            lines.append(f"{task.entry.label}, {task.case.scenario.name}, seed {seed}: {reason}")
    print(f"{len(tasks)} episodes played again, {len(lines)} came out otherwise", *sorted(lines), sep="\n")
    return DIFFER if lines else 0


def submit(argv: Sequence[str]) -> int:
    """Packs the rows of a folder: agents' files, arguments, command, versions, episodes with their hashes."""
    parser = _command.parser("agents.leaderboard submit", submit.__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="what --out of a run was")
    parser.add_argument("--out", type=Path, metavar="FILE.zip", help="the archive (DIR/submission.zip)")
    options = parser.parse_args(argv)
    try:
        out = options.out or options.folder / "submission.zip"
        n = archive.pack(options.folder, out)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"{out}: {n} files; python -m agents.leaderboard verify {out}", file=sys.stderr)
    return 0
