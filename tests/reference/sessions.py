"""What the cluster knows about each session: its last routed request, when that was, and how many there were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .types import RefClass, RefRequest
from .uses import CATEGORIES, User


class Sessions:
    """Facts about sessions, the same for all workers."""

    def __init__(self, requests: Sequence[RefRequest], classes: Sequence[RefClass] = (RefClass(),)) -> None:
        self.requests = requests
        # A request without a session is one of its own; given ones are >= 0.
        ids = [-1 - i if request.session is None else request.session for i, request in enumerate(requests)]
        self.users = [
            User(session, min(request.turn, CATEGORIES - 1), classes[request.service_class].priority)
            for session, request in zip(ids, requests, strict=True)
        ]
        self.last: dict[int, int] = {}  # last request routed, per session
        self.routed_ps: dict[int, int] = {}
        self.turns: Counter[int] = Counter()
        self.finished: set[int] = set()
        self.waits: dict[int, tuple[int, int]] = {}  # worker and time of the finish after which a session waits

    def route(self, index: int, now: int, again: bool = False) -> tuple[int, int] | None:
        """A request was routed to some worker; one that came back counts as the last one, but not as one more turn.

        Returns:
            Where its session waited until now, and since when.
        """
        session = self.users[index].session
        self.last[session] = index
        self.routed_ps[session] = now
        self.turns[session] += not again
        return self.waits.pop(session, None)

    def finish(self, index: int, worker: int, now: int) -> None:
        """A request finished on a worker: its output's length is known from now on, and its session waits there."""
        self.finished.add(index)
        self.waits[self.users[index].session] = worker, now

    def crash(self, worker: int) -> None:
        """A worker crashed: nobody waits there any more."""
        self.waits = {session: wait for session, wait in self.waits.items() if wait[0] != worker}

    def tokens(self, session: int) -> int:
        """Tokens of the session's last routed request: its prompt, and its output too from its finish on."""
        index = self.last[session]
        request = self.requests[index]
        return len(request.prompt) + (len(request.output) if index in self.finished else 0)
