"""The process of an agent that came with a file: it holds the agent, and nothing of the environment.

The other side is `kvgym.evaluation.remote`. What the agent is given as its environment answers from what was sent
along, and asks for the rest.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from socket import socket
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.envs import evict, joint, route  # noqa: F401  what an agent may not replace is there before the agent
from kvgym.envs.base import FINISHED_COLUMNS
from kvgym.envs.view import RuleBroken, View
from kvgym.evaluation import guard, intact, wire
from kvgym.evaluation.actions import reader
from kvgym.evaluation.stage import env_kwargs_of, environment_of

DECLARES = ("environment", "env_kwargs", "observation", "oracle", "trained_on", "training_seeds", "needs")
"""Attributes that go to the other side, where the agent has them."""
_NO_ROWS: NDArray[np.float64] = np.zeros((0, len(FINISHED_COLUMNS)))


def serve(end: socket, make: Callable[[], Any]) -> None:
    """Makes an agent, says what it declares, and answers until the other side closes; each episode has a new one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    guard.refuse_workloads()
    channel = wire.Channel(end, wire.MOST)
    with suppress(EOFError, ConnectionError):
        try:
            _Seat(channel, make).run()
        except Exception as error:  # an agent may raise anything
            channel.send(wire.FAILED, json.dumps(_told(error)).encode())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _told(error: Exception) -> dict[str, Any]:
    """What the other side is told of an error."""
    if isinstance(error, RuleBroken):
        return {"broke_rule": True, "text": str(error)}
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(last.filename)}:{last.lineno}"
    return {"broke_rule": False, "text": str(error), "kind": type(error).__name__, "place": place}


class _Seat:
    """The agent, and what it takes for its environment."""

    def __init__(self, channel: wire.Channel, make: Callable[[], Any]) -> None:
        self._channel, self._make = channel, make
        self._before = intact.parts()
        self._agent = self._made()
        self._fresh = True
        channel.send(wire.DECLARED, json.dumps(_declared(self._agent)).encode())

    def _made(self) -> Any:
        agent = self._make()
        intact.check(self._before)
        return agent

    def run(self) -> None:
        while True:
            code, body = self._channel.receive()
            if code == wire.RESET:
                self._reset(pickle.loads(body))
            else:
                self._act(body)

    def _reset(self, given: dict[str, Any]) -> None:
        if not self._fresh:
            self._agent = self._made()
        self._fresh = False
        self._mirror = Mirror(self._channel, given)
        self._read = reader(given["action_space"])
        self._agent.reset(View(self._mirror), given["seed"])
        intact.check(self._before)
        self._channel.send(wire.DONE, wire.NANOSECONDS.pack(0))

    def _act(self, body: memoryview) -> None:
        observation, info = self._mirror.take(body)
        clock = time.perf_counter_ns
        began = clock()
        chosen = self._agent.act(observation, info)
        took = clock() - began
        action = np.array(self._read(chosen), np.int64)
        self._channel.send(wire.DONE, wire.NANOSECONDS.pack(took), action.tobytes())


def _declared(agent: Any) -> dict[str, Any]:
    """What an agent declares, as JSON knows it.

    Raises:
        ValueError: If it lacks part of the interface, or declares what is not allowed.
    """
    missing = [part for part in ("observation", "reset", "act") if not hasattr(agent, part)]
    if missing:
        raise ValueError(f"an agent has observation, reset and act; this one lacks {', '.join(missing)}")
    found = {name: getattr(agent, name) for name in DECLARES if hasattr(agent, name)}
    return {**found, "environment": environment_of(agent), "env_kwargs": env_kwargs_of(agent)}


class Mirror:
    """What an agent may know of its environment, on the agent's side; `View` shows it.

    Finished requests come along with each decision once they have been asked for, and so do pages: asking costs a
    message there and one back.

    Args:
        channel: To the environment.
        given: Its constants, as `remote` sends them.
    """

    def __init__(self, channel: wire.Channel, given: dict[str, Any]) -> None:
        """Knows nothing of what has happened yet."""
        self._channel = channel
        for name in ("layout", "scenario", "action_space", "observation_space"):
            setattr(self, name, given[name])
        if given["rules"] is not None:
            self.rules = given["rules"]
        self._rows: list[NDArray[np.float64]] | None = None
        self._new = _NO_ROWS
        self._pages: NDArray[np.int64] | None = None

    def take(self, body: memoryview) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Observation and info of a decision; takes in what came along."""
        time_s, dt, session, n_mask, size, n_rows, n_pages = wire.DECISION.unpack_from(body)
        at = wire.DECISION.size
        mask = np.frombuffer(body, np.int8, n_mask, at).copy()
        at += n_mask
        observation = np.frombuffer(body, np.float32, size, at).copy()
        at += 4 * size
        if n_rows >= 0:
            self._new = np.frombuffer(body, np.float64, 8 * n_rows, at).reshape(n_rows, 8).copy()
            at += 64 * n_rows
            if self._rows is not None and n_rows:
                self._rows.append(self._new)
        self._pages = np.frombuffer(body, np.int64, n_pages, at).copy() if n_pages >= 0 else None
        return observation, {"action_mask": mask, "dt": dt, "time": time_s, "session": session}

    def _ask(self, what: int, dtype: Any) -> NDArray[Any]:
        self._channel.send(wire.ASKED, wire.ASK.pack(what))
        return np.frombuffer(self._channel.receive()[1], dtype).copy()

    def _all(self) -> list[NDArray[np.float64]]:
        """All requests that have finished in this episode, in parts; the first number says how many are new."""
        if self._rows is None:
            told = self._ask(wire.FINISHED, np.float64)
            rows = told[1:].reshape(-1, 8)
            self._rows, self._new = [rows], rows[len(rows) - int(told[0]) :]
        return self._rows

    def finished(self, first: int | None = None) -> NDArray[np.float64]:
        """See `ClusterEnv.finished`."""
        rows = self._all()
        if first is None:
            return self._new.copy()
        if first < 0:
            raise ValueError(f"first must be an integer >= 0, got {first}")
        if len(rows) > 1:
            rows[:] = [np.concatenate(rows)]
        return rows[0][first:].copy()

    def n_finished(self) -> int:
        """See `ClusterEnv.n_finished`."""
        return sum(map(len, self._all()))

    def prompt_pages(self) -> NDArray[np.int64]:
        """See `ClusterEnv.prompt_pages`."""
        if self._pages is None:
            self._pages = self._ask(wire.PAGES, np.int64)
        return self._pages.copy()

    def action_masks(self) -> NDArray[np.bool_]:
        """See `ClusterEnv.action_masks`."""
        return self._ask(wire.MASKS, np.bool_)
