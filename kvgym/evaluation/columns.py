"""What became of each request and iteration of an episode, as rows, and rows as CSV or Parquet files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym import _atomic
from kvgym.envs.base import legal_instead
from kvgym.evaluation.episode import Recording
from kvgym.evaluation.stage import ROUTE, make_env
from kvgym.scenarios import ScenarioLike

SUFFIXES = (".csv", ".parquet")


def check_file(option: str, path: Path) -> None:
    """Raises a ValueError where a table can't be written there: another ending, or no pyarrow for Parquet."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{option} must be a file that ends in {' or '.join(SUFFIXES)}, got {path}")
    if path.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise ValueError(f'{option}: Parquet needs pyarrow: pip install "kvgym[parquet]"') from None


def rows_of(recording: Recording, scenario: ScenarioLike, seed: int, **options: Any) -> tuple[Any, Any]:
    """Records of the requests and the event log of an episode of KVGym/Route-v0, played again without its agent.

    Args:
        recording: What the agent did.
        scenario: As it was played, likewise the rest.
        seed: Of the episode.
        **options: Overrides, evictor, router and split.

    Returns:
        Structured arrays, see `kvgym.Simulator.records` and `iterations`; the warm-up is among them.

    Raises:
        ValueError: If the agent does more than route.
    """
    if recording.environment != ROUTE:
        raise ValueError(f"records are of agents of {ROUTE}, this one plays {recording.environment}")
    env = make_env(recording, scenario, **options)
    env.simulator.settings = replace(env.simulator.settings, log_iterations=True)
    env._begin(seed, None)
    simulator = env.simulator
    for worker in recording.actions.tolist():
        simulator.advance()
        up = simulator.up()
        simulator.route(worker if up[worker] else legal_instead(worker, up.astype(np.int8)))
    simulator.advance()
    return simulator.records(), simulator.iterations()


def write(path: Path, parts: Iterable[tuple[Mapping[str, Any], NDArray[Any]]]) -> int:
    """Writes tables below each other; returns the number of rows.

    Args:
        path: Ends in .csv or .parquet.
        parts: Each a mapping of columns that are the same in all its rows, and a structured array.
    """
    with _atomic.replacing(path) as temporary:
        return (_write_csv if path.suffix == ".csv" else _write_parquet)(temporary, parts)


def _write_csv(path: Path, parts: Iterable[tuple[Mapping[str, Any], NDArray[Any]]]) -> int:
    n = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for number, (same, table) in enumerate(parts):
            if number == 0:
                writer.writerow([*same, *(table.dtype.names or ())])
            first = list(same.values())
            writer.writerows([*first, *("" if x != x else x for x in row)] for row in table.tolist())
            n += len(table)
    return n


def _write_parquet(path: Path, parts: Iterable[tuple[Mapping[str, Any], NDArray[Any]]]) -> int:
    import pyarrow
    import pyarrow.parquet

    writer, n = None, 0
    for same, table in parts:
        columns: dict[str, Any] = {name: [value] * len(table) for name, value in same.items()}
        columns |= {name: np.ascontiguousarray(table[name]) for name in table.dtype.names or ()}
        rows = pyarrow.table(columns)
        if writer is None:
            writer = pyarrow.parquet.ParquetWriter(path, rows.schema)
        writer.write_table(rows.cast(writer.schema))
        n += len(table)
    if writer is not None:
        writer.close()
    return n
