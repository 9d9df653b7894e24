"""An agent in a process of its own, as the process of its environment sees it.

What an agent does reaches the environment as numbers; the environment, its tables and seeds are nowhere in the agent's
process (`kvgym.evaluation.agent_process`).
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import pickle
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

import numpy as np

from kvgym._signals import uninterrupted
from kvgym.envs.view import View
from kvgym.evaluation import wire
from kvgym.evaluation.agent_process import DECLARES, serve

START_S = 120.0
"""That a process may take until its agent is there: imports of torch on a busy machine are slow."""
DECISION_TIMEOUT_S = 10.0


class AgentLost(Exception):
    """An agent that raised, stalled, died or broke a rule; its process is ended."""

    def __init__(self, text: str, broke_rule: bool = False) -> None:
        """Keeps what is to be said."""
        super().__init__(text)
        self.broke_rule = broke_rule


class RemoteAgent:
    """An agent to the evaluation; it lives in a process of its own, where each episode has a new one.

    Attributes:
        measured_ns: How long the last `act` took, measured where it ran.
        oracle: False: such a process has no environment to give.
        declared_oracle: What the agent says.

    The other attributes are those that the agent declares.

    Args:
        make: Makes the agent; has to be picklable.
        salt: Decides with the seed of an episode what seed the agent is given, so that this one tells nothing.
        timeout_s: Seconds that a decision, or a reset, may take.

    Raises:
        AgentLost: If the agent can't be made.
    """

    oracle = False
    observation: str
    environment: str
    measured_ns = 0

    def __init__(self, make: Callable[[], Any], salt: str = "", timeout_s: float = DECISION_TIMEOUT_S) -> None:
        """Starts the process."""
        context = multiprocessing.get_context("spawn")
        self._end, end = socket.socketpair()
        self._channel = wire.Channel(self._end, wire.MOST_OF_AGENT)
        self._salt, self._timeout_s = salt, timeout_s
        self._process = context.Process(target=serve, args=(end, make), daemon=True)
        with uninterrupted():
            self._process.start()
        end.close()
        self._end.settimeout(START_S)
        code, body = self._receive(START_S)
        if code != wire.DECLARED:
            raise self._lost("sent what nobody asked for", broke_rule=True)
        declared = self._said(body)
        self.declared_oracle = bool(declared.pop("oracle", False))
        self.__dict__.update({name: value for name, value in declared.items() if name in DECLARES})
        self._end.settimeout(timeout_s)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes it."""
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self._end.close()
        self._process.kill()
        self._process.join()

    def reset(self, view: Any, seed: int) -> None:
        """Starts an episode, see `kvgym.evaluation.episode.Agent`."""
        env = self._view = view if isinstance(view, View) else View(view)
        self._told_rows = self._told_pages = False
        self._first = True
        given = {name: getattr(env, name) for name in ("layout", "scenario", "action_space", "observation_space")}
        given |= {"rules": getattr(env, "rules", None), "seed": agent_seed(self._salt, seed)}
        self._call(wire.RESET, pickle.dumps(given))

    def act(self, observation: Any, info: Any) -> int | tuple[int, ...]:
        """Has the agent decide."""
        mask = info["action_mask"]
        # What was pulled in the reset is that of the first decision.
        rows = self._view.finished() if self._told_rows and not self._first else None
        self._first = False
        pages = self._view.prompt_pages() if self._told_pages else None
        lengths = (-1 if rows is None else len(rows)), (-1 if pages is None else len(pages))
        head = wire.DECISION.pack(info["time"], info["dt"], info["session"], len(mask), len(observation), *lengths)
        parts = [part.tobytes() for part in (mask, observation, rows, pages) if part is not None]
        answer = np.frombuffer(self._call(wire.ACT, head, *parts), np.int64).tolist()
        if len(answer) not in (2, 3):
            raise self._lost("sent what is no action", broke_rule=True)
        self.measured_ns, *action = answer
        return action[0] if len(action) == 1 else tuple(action)

    def _call(self, code: bytes, *parts: bytes) -> memoryview:
        """Sends a message; the answer to it, whatever is pulled before it comes."""
        until = time.monotonic() + self._timeout_s
        try:
            self._channel.send(code, *parts)
        except OSError as error:
            raise self._ended(error, self._timeout_s) from None
        while True:
            code, body = self._receive(self._timeout_s)
            if code == wire.DONE:
                return body
            if code != wire.ASKED or len(body) != wire.ASK.size:
                raise self._lost("sent what nobody asked for", broke_rule=True)
            if time.monotonic() > until:
                raise self._ended(TimeoutError(), self._timeout_s)
            self._tell(*wire.ASK.unpack(body))

    def _receive(self, timeout_s: float) -> tuple[bytes, memoryview]:
        try:
            code, body = self._channel.receive()
        except wire.WireError as error:
            raise self._lost(f"sent what is no message: {error}", broke_rule=True) from None
        except (OSError, EOFError) as error:
            raise self._ended(error, timeout_s) from None
        if code == wire.FAILED:
            said = self._said(body)
            broke_rule = bool(said.get("broke_rule"))
            text = str(said.get("text"))
            raise self._lost(text if broke_rule else f"{said.get('kind')}: {text} ({said.get('place')})", broke_rule)
        return code, body

    def _said(self, body: memoryview) -> dict[str, Any]:
        """A JSON object that came."""
        try:
            return dict(json.loads(bytes(body)))
        except (ValueError, TypeError):
            raise self._lost("sent what is no JSON object", broke_rule=True) from None

    def _tell(self, what: int) -> None:
        """Answers what was pulled; from now on it comes along with each decision."""
        if what == wire.FINISHED:
            self._told_rows = True
            told = np.concatenate([[float(len(self._view.finished()))], self._view.finished(0).ravel()])
        elif what == wire.PAGES:
            self._told_pages = True
            told = self._view.prompt_pages()
        else:
            told = self._view.action_masks()
        try:
            self._channel.send(wire.TOLD, told.tobytes())
        except OSError as error:
            raise self._ended(error, self._timeout_s) from None

    def _ended(self, error: Exception, timeout_s: float) -> AgentLost:
        if isinstance(error, TimeoutError):
            return self._lost(f"no answer within {timeout_s:g} s")
        self._process.join(1.0)
        code = self._process.exitcode
        return self._lost("its process died" + ("" if code is None else f", exit code {code}"))

    def _lost(self, text: str, broke_rule: bool = False) -> AgentLost:
        with suppress(OSError):
            self.close()
        return AgentLost(text, broke_rule)


_named: dict[str, RemoteAgent] = {}


@contextmanager
def named(agent: RemoteAgent) -> Iterator[str]:
    """While the block runs, "module:name" of an agent, as KVGym/Evict-v0 is told who routes."""
    name = str(id(agent))
    _named[name] = agent
    try:
        yield f"{__name__}:{name}"
    finally:
        del _named[name]


def make_agent(name: str) -> RemoteAgent:
    """How that environment finds it."""
    return _named[name]


def agent_seed(salt: str, seed: int) -> int:
    """The seed that an agent is given for the episode of `seed`, below 2^63; without a salt the same."""
    if not salt:
        return seed
    return int.from_bytes(hashlib.blake2b(f"{salt}/{seed}".encode(), digest_size=8).digest(), "big") >> 1
