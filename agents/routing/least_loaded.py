"""Join the shortest queue."""

from __future__ import annotations

from ..base import Agent, Info, Observation, lowest


class LeastLoaded(Agent):
    """Fewest requests in flight, as the router itself counts them (sent and not finished); the lowest index of equals.

    Also known as JSQ or least request; it knows nothing of caches.
    """

    draws = False

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        inflight = observation[self.at["inflight"]].tolist()
        self.scores = [-requests for requests in inflight]
        return lowest(inflight, self.legal_workers(info))
