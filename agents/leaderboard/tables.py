"""Tables of what was played: printed, and as files."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import kvgym
from kvgym import _atomic
from kvgym.evaluation import Episode, files, page, plain, report, standings
from kvgym.evaluation.overall import overall
from kvgym.evaluation.runs import Store
from kvgym.evaluation.standings import Board, Failure, Player

from .entries import ANCHORS, Entry
from .folder import Kept
from .plan import Case, Plan, Task

OK, FAILED = 0, 1
_NOWHERE = ("--out", "--workers", "--backend", "--ray-address")


def show(kept: Kept, store: Store, out: Path | None) -> int:
    """Prints the tables, and writes them where they are wanted; returns the exit code."""
    plan = kept.plan
    identities = [task.identity for case in plan.cases for task in plan.tasks(case)]
    boards: list[tuple[Board, dict[Entry, Player]]] = []
    notes: list[str] = []
    for case in plan.cases:
        names, board = board_of(case, plan, store, kept.errors)
        if isinstance(board, str):
            notes.append(board)
        else:
            boards.append((board, names))
    oracles = {entry for _, names in boards for entry, player in names.items() if player.oracle}
    players = {entry: entry.player(entry.evictor, entry in oracles) for entry in plan.entries}
    named = [(board, {players[entry]: here for entry, here in names.items()}) for board, names in boards]
    notes += dict.fromkeys(f"{player.agent}: {player.training}" for player in players.values() if player.training)
    result = report.Report(
        suite_version=kvgym.__version__,
        split=plan.split,
        n_seeds=len(plan.seeds),
        smoke=plan.smoke,
        boards=[board for board, _ in named],
        names=[names for _, names in named],
        overall=overall(named),
        notes=notes,
        track=plan.track,
        axes=plan.axes,
        provenance={
            "command": command_line_of(kept.command),
            "code_sha256": sorted({one.code_sha256 for one in identities}),
        },
    )
    print(report.terminal(result, shutil.get_terminal_size((120, 24)).columns))
    if out:
        values = plain.as_dict(result)
        for name, text in (
            ("leaderboard.html", page.page(values)),
            ("leaderboard.md", report.markdown(result)),
            ("leaderboard.json", files.to_text(values)),
        ):
            _atomic.write(out / name, text)
        print(f"all of it: {out / 'leaderboard.html'}, also as .md and .json; episodes: {out / 'runs'}")
    return FAILED if kept.errors else OK


def board_of(
    case: Case, plan: Plan, store: Store, errors: Mapping[str, Failure]
) -> tuple[dict[Entry, Player], Board | str]:
    """Who each entry is on a scenario, and its table, or why there is none."""
    played: dict[Player, list[Episode]] = {}
    failed: dict[Player, Failure] = {}
    names: dict[Entry, Player] = {}
    for task in plan.tasks(case):
        episodes = episodes_of(task, store)
        oracle = any(episode.oracle for episode in episodes or ())
        player = names[task.entry] = task.entry.player(task.entry.evictor_on(case.scenario), oracle)
        if episodes is None:
            failed[player] = errors.get(task.identity.key, Failure("not all seeds were played"))
        else:
            played[player] = episodes
    random, reference = (names[entry] for entry in ANCHORS)
    for anchor in (random, reference):
        if anchor in failed:
            reason = f"no table without its anchor {anchor}: {failed[anchor].reason}"
            return names, f"FAILED {case.scenario.name}: {reason}"
    n = None if case.parts is None else len(played[reference])
    board = standings.board(
        *(case.scenario, case.overrides, plan.split, played, failed, random, reference),
        parts=n,
        load=case.load,
        charged=plan.terms.charges,
    )
    board.notes.extend(case.notes)
    for entry, player in names.items():
        if entry.needs == "sessions" and not case.has_sessions:
            board.notes.append(f"{player.agent} goes by sessions, and no session comes back here")
    costs = [board.results.costs[names[entry]] for entry in plan.entries[len(ANCHORS) :] if names[entry] in played]
    if plan.track == "evict" and len(costs) > 1 and all(np.array_equal(costs[0], other) for other in costs):
        board.notes.append("all evictors are equal here: nothing was evicted, or nothing that was asked for again")
    return names, board


def episodes_of(task: Task, store: Store) -> list[Episode] | None:
    """The episodes of all seeds; None if one is missing."""
    done = store.episodes(task.identity)
    return [done[seed] for seed in task.seeds] if all(seed in done for seed in task.seeds) else None


def command_line_of(argv: Sequence[str]) -> str:
    """The command that was typed, without folders and without what decides nothing: where it runs, and results go."""
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        if word in _NOWHERE:
            next(words, None)
        elif not word.startswith(tuple(f"{option}=" for option in _NOWHERE)):
            kept.append(word)
    return f"python -m agents.leaderboard {shlex.join(files.without_folders(kept))}".rstrip()
