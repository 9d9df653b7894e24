"""How cached pages get from one worker to another: links, and which workers they connect."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from kvgym import _check
from kvgym.cluster.cost import PS_PER_S
from kvgym.cluster.published import check_fields, check_source

_OPTIONS = ("page_us", "overlap")
"""What an entry of a link may leave out."""


@dataclass(frozen=True)
class Link:
    """A kind of link between two workers, or between two nodes.

    n bytes in m pages take latency_s + n / bytes_per_s + m page_s seconds, in one direction; the other direction is as
    fast at the same time (docs/semantics.md#t1-links).

    Attributes:
        latency_s: Seconds before the first byte arrives, >= 0.
        bytes_per_s: Usable bandwidth of one end, above 0.
        name: Name in the catalogue; may be empty.
        source: Where the figures come from; may be empty.
        page_s: Seconds that each page takes besides its bytes, for its descriptors or messages, >= 0.
        overlap: Whether the KV comes layer by layer, and the target computes meanwhile (docs/semantics.md#t6-overlap).

    Raises:
        ValueError: If a number is outside its range.
    """

    latency_s: float
    bytes_per_s: float
    name: str = ""
    source: str = ""
    page_s: float = 0.0
    overlap: bool = False

    def __post_init__(self) -> None:
        """Checks the numbers."""
        object.__setattr__(self, "latency_s", _check.finite("latency_s", self.latency_s, maximum=3600.0))
        object.__setattr__(self, "bytes_per_s", _check.finite("bytes_per_s", self.bytes_per_s, minimum=1.0))
        object.__setattr__(self, "page_s", _check.finite("page_s", self.page_s, maximum=1.0))
        object.__setattr__(self, "overlap", _check.flag("overlap", self.overlap))

    @classmethod
    def from_data(cls, name: str, entry: Any) -> Self:
        """A link from an entry of `published.json`.

        Args:
            name: Its name.
            entry: latency_ms, gb_per_s (10^9 bytes per second), source, and if it is not so simple page_us, overlap.

        Raises:
            ValueError: If a field is missing, not known or out of range.
        """
        where = f"link {name}"
        check_fields(where, entry, {"latency_ms", "gb_per_s", "source"}, _OPTIONS)
        latency_ms = _check.finite(f"latency_ms of {where}", entry["latency_ms"])
        gb_per_s = _check.finite(f"gb_per_s of {where}", entry["gb_per_s"], minimum=1e-9)
        return cls(latency_ms / 1e3, gb_per_s * 1e9, name, check_source(where, entry), **_options(where, entry))

    def latency_ps(self) -> int:
        """Latency in whole picoseconds."""
        return round(self.latency_s * PS_PER_S)

    def page_ps(self) -> int:
        """What a page takes besides its bytes, in whole picoseconds."""
        return round(self.page_s * PS_PER_S)

    def ps_per_token(self, kv_bytes_per_token: int) -> float:
        """Picoseconds that a token's KV takes."""
        return kv_bytes_per_token / self.bytes_per_s * PS_PER_S

    def seconds(self, tokens: int, kv_bytes_per_token: int, page_size: int = 16) -> float:
        """Seconds that `tokens` tokens in pages of `page_size` take, as the simulator counts them.

        Raises:
            ValueError: If a count is no integer >= 0, or >= 1 for the bytes and the page size.
        """
        n = _check.whole("tokens", tokens, 0)
        per_token = self.ps_per_token(_check.whole("kv_bytes_per_token", kv_bytes_per_token, 1))
        pages = -(-n // _check.whole("page_size", page_size, 1))
        return max(1, self.latency_ps() + round(n * per_token) + pages * self.page_ps()) / PS_PER_S

    def effective_bytes_per_s(self, kv_bytes_per_token: int, page_size: int) -> float:
        """Bandwidth that is left of `bytes_per_s` where each page of `page_size` tokens takes `page_s` more.

        Raises:
            ValueError: If a count is no integer >= 1.
        """
        page_bytes = _check.whole("kv_bytes_per_token", kv_bytes_per_token, 1) * _check.whole("page_size", page_size, 1)
        return page_bytes / (page_bytes / self.bytes_per_s + self.page_s)


def _options(where: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """`Link.page_s` and `Link.overlap`, as far as an entry says them."""
    options: dict[str, Any] = {}
    if "page_us" in entry:
        options["page_s"] = _check.finite(f"page_us of {where}", entry["page_us"]) / 1e6
    if "overlap" in entry:
        options["overlap"] = _check.flag(f"overlap of {where}", entry["overlap"])
    return options


@dataclass(frozen=True)
class Network:
    """Which workers may fetch cached pages from each other, and over what.

    Workers of one node are connected by `inside`, each with an end of its own; workers of different nodes by `between`,
    whose end a node's workers share. Every end sends to one and receives from one at a time.

    Attributes:
        nodes: The node of each worker, in the order of the workers: any integers >= 0.
        inside: Link between workers of one node; None where no node has two.
        between: Link between nodes; None where there is only one.

    Raises:
        ValueError: If a link is missing or is no Link, or a node is no integer >= 0.
    """

    nodes: tuple[int, ...]
    inside: Link | None = None
    between: Link | None = None

    def __post_init__(self) -> None:
        """Checks that every two workers are connected."""
        try:
            nodes = tuple(_check.whole(f"node of worker {w}", node, 0) for w, node in enumerate(self.nodes))
        except TypeError:
            raise ValueError(f"nodes must be the node of each worker, got {self.nodes!r}") from None
        object.__setattr__(self, "nodes", nodes)
        for name in ("inside", "between"):
            if getattr(self, name) is not None and not isinstance(getattr(self, name), Link):
                raise ValueError(f"{name} must be a Link or None, got {getattr(self, name)!r}")
        crowded = next((node for node in nodes if nodes.count(node) > 1), None)
        if crowded is not None and self.inside is None:
            raise ValueError(f"no link inside node {crowded}, which has {nodes.count(crowded)} workers: give `inside`")
        if len(set(nodes)) > 1 and self.between is None:
            first, second = list(dict.fromkeys(nodes))[:2]
            raise ValueError(f"no link between node {first} and node {second}: give `between`")

    def link(self, source: int, target: int) -> Link:
        """The link between two different workers."""
        link = self.inside if self.nodes[source] == self.nodes[target] else self.between
        assert link is not None
        return link


def find_link(links: Mapping[str, Link], given: Any, name: str) -> Link | None:
    """A link of the catalogue by its name, or one from figures; None stays None.

    Figures are {"latency_ms": .., "gb_per_s": ..}, those of `Link.from_data` without the source, or
    {"link": .., "page_us": .., "overlap": ..}: a link of the catalogue that differs in one of the two, or in both.

    Raises:
        ValueError: If it is none of these; the message lists the links that there are.
    """
    if given is None or isinstance(given, Link):
        return given
    if isinstance(given, Mapping) and "link" in given:
        where = f"link {name}"
        check_fields(where, given, {"link"}, _OPTIONS)
        return replace(links[_check.choice(where, given["link"], links)], **_options(where, given))
    if isinstance(given, Mapping):
        return Link.from_data(name, {"source": "given by the caller", **given})
    return links[_check.choice(name, given, links)]
