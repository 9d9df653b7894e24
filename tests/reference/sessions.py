"""What the cluster knows about each session: its last routed request, when that was, and how many there were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .types import RefRequest
from .uses import CATEGORIES, User


class Sessions:
    """Facts about sessions, the same for all workers."""

    def __init__(self, requests: Sequence[RefRequest]) -> None:
        self.requests = requests
        # A request without a session is one of its own; given ones are >= 0.
        ids = [-1 - i if request.session is None else request.session for i, request in enumerate(requests)]
        self.users = [
            User(session, min(request.turn, CATEGORIES - 1)) for session, request in zip(ids, requests, strict=True)
        ]
        self.last: dict[int, int] = {}  # last request routed, per session
        self.routed_ps: dict[int, int] = {}
        self.turns: Counter[int] = Counter()
        self.finished: set[int] = set()

    def route(self, index: int, now: int, again: bool = False) -> None:
        """A request was routed to some worker; one that came back counts as the last one, but not as one more turn."""
        session = self.users[index].session
        self.last[session] = index
        self.routed_ps[session] = now
        self.turns[session] += not again

    def finish(self, index: int) -> None:
        """A request finished: its output's length is known from now on."""
        self.finished.add(index)

    def tokens(self, session: int) -> int:
        """Tokens of the session's last routed request: its prompt, and its output too from its finish on."""
        index = self.last[session]
        request = self.requests[index]
        return len(request.prompt) + (len(request.output) if index in self.finished else 0)
