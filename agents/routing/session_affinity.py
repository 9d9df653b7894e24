"""Sticky sessions."""

from __future__ import annotations

from ..base import Agent, Info, Observation, lowest


class SessionAffinity(Agent):
    """The worker that served the session's last turn; for a new session the one with the fewest requests in flight.

    A session whose worker may not be chosen moves, and stays with its new worker. Ties go to the lowest index. Sticky
    sessions are the commonest affinity of production routers, such as "manual" with min-load assignment in the SGLang
    router (lightseekorg/smg) and "session" in the vLLM production stack.
    """

    draws = False
    needs = "sessions"

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        workers = self.legal_workers(info)
        is_prev = observation[self.at["is_prev"]].tolist()
        for worker in workers:
            if is_prev[worker]:
                return worker
        return lowest(observation[self.at["inflight"]].tolist(), workers)
