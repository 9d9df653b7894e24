"""The power of two choices."""

from __future__ import annotations

from ..base import Agent, Info, Observation, draw


class PowerOfTwo(Agent):
    """Of two distinct workers drawn at random the one with fewer requests in flight; the first drawn of equals.

    Mitzenmacher, "The power of two choices in randomized load balancing", IEEE TPDS 12(10), 2001; the tie rule is that
    of the SGLang router (lightseekorg/smg, model_gateway/src/policies/power_of_two.rs).
    """

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        workers = self.legal_workers(info)
        first = draw(workers, self.random)
        if len(workers) == 1:
            return first
        workers.remove(first)
        second = draw(workers, self.random)
        inflight = observation[self.at["inflight"]].tolist()
        return first if inflight[first] <= inflight[second] else second
