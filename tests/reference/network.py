"""Who is connected with whom, and in which order transfers are made (rule T1 and the plan of T2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .live import Live
from .types import RefLink, RefNetwork

# One end of a link: inside or between, the worker or the node that has it, sending or receiving.
End = tuple[str, int, str]


@dataclass(eq=False)
class Transfer:
    """A transfer that was decided and is not over.

    Attributes:
        live: The request that it is for.
        source: Worker that sends.
        target: Worker that receives.
        pages: The H pages of the source, the first ones of the request's path.
        planned_tokens: Tokens that it had to move when it was decided.
        start_ps: When it started, None while it waits.
        ready_ps: When its pages will enter, once it has started.
        end_ps: When it will end, once it has started.
        is_ready: Whether they have entered.
        tokens: Tokens that it moves, once it has started.
    """

    live: Live
    source: int
    target: int
    pages: int
    planned_tokens: int
    start_ps: int | None = None
    ready_ps: int = -1
    end_ps: int = -1
    is_ready: bool = False
    tokens: int = 0

    def next_ps(self) -> int:
        """When something happens to it next, once it has started."""
        return self.end_ps if self.is_ready else self.ready_ps


class Network:
    """Links between workers."""

    def __init__(self, settings: RefNetwork, page_size: int) -> None:
        self.page_size = page_size
        self.nodes = settings.nodes
        self.inside = settings.inside
        self.between = settings.between

    def link(self, source: int, target: int) -> RefLink:
        """The link between two workers."""
        link = self.inside if self.nodes[source] == self.nodes[target] else self.between
        assert link is not None
        return link

    def duration(self, source: int, target: int, tokens: int) -> int:
        """What a transfer of these tokens, whole pages of them, takes."""
        return self.link(source, target).duration(tokens, tokens // self.page_size)

    def ends(self, source: int, target: int) -> tuple[End, End]:
        """The end that sends and the end that receives: those of the workers inside a node, else those of the nodes."""
        if self.nodes[source] == self.nodes[target]:
            return ("inside", source, "sends"), ("inside", target, "receives")
        return ("between", self.nodes[source], "sends"), ("between", self.nodes[target], "receives")

    def may_start(self, transfer: Transfer, undone: Sequence[Transfer]) -> bool:
        """Whether both ends have done all transfers that were decided before; `undone` is in the order of decisions."""
        mine = self.ends(transfer.source, transfer.target)
        for other in undone:
            if other is transfer:
                return True
            if set(mine) & set(self.ends(other.source, other.target)):
                return False
        raise AssertionError("this transfer is over")

    def plan(self, source: int, target: int, tokens: int, undone: Iterable[Transfer], now: int) -> tuple[int, int]:
        """When a transfer would start and end that is decided now.

        The rules don't say what is known of the transfers before it. Here: the plan is made anew from what stands now.
        Those that have started end when they will; each that waits follows the ones before it, and takes what was
        planned when it was decided.
        """
        free: dict[End, int] = {}

        def after(source: int, target: int, tokens: int) -> tuple[int, int]:
            start = max(now, *(free.get(end, 0) for end in self.ends(source, target)))
            return start, start + self.duration(source, target, tokens)

        for other in undone:
            end_ps = other.end_ps
            if other.start_ps is None:
                end_ps = after(other.source, other.target, other.planned_tokens)[1]
            for end in self.ends(other.source, other.target):
                free[end] = end_ps
        return after(source, target, tokens)


def validate(network: RefNetwork, workers: int) -> None:
    """Raise ValueError if workers are not connected."""
    if len(network.nodes) != workers:
        raise ValueError("every worker lies on one node")
    for link in (network.inside, network.between):
        if link is not None and min(link.latency_ps, link.ps_per_token, link.ps_per_page) < 0:
            raise ValueError("a link takes no negative time")
    if network.inside is None and len(set(network.nodes)) < workers:
        raise ValueError("two workers of one node have no link")
    if network.between is None and len(set(network.nodes)) > 1:
        raise ValueError("two nodes have no link")
