"""Models and GPUs by the figures that their makers publish: sizes of layers, memory, bandwidth, peak rates."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from kvgym import _check

WEIGHTS = {"bf16": 2, "fp16": 2, "fp8": 1}
"""Number formats of weights: bytes per parameter of the layers. Embedding and output head stay in 16 bits."""

_SIZES = ("vocabulary", "hidden", "layers", "heads", "kv_heads", "head_dim", "feed_forward")
_RATES = ("tflops", "fp8_tflops", "mem_gbps", "link_gbps")


@dataclass(frozen=True)
class Architecture:
    """Sizes of a decoder with grouped-query attention and gated feed-forward layers, dense or a mixture of experts.

    Attributes:
        vocabulary: Rows of the embedding and of the output head.
        hidden: Width of the residual stream.
        layers: Number of layers.
        heads: Query heads.
        kv_heads: Key and value heads.
        head_dim: Width of a head.
        feed_forward: Inner width of the feed-forward part, or of one expert.
        experts: Experts per layer; 0: dense.
        experts_per_token: Experts that a token goes through.
        tied: Whether the output head is the embedding.
    """

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    experts: int = 0
    experts_per_token: int = 0
    tied: bool = False

    @property
    def head_params(self) -> int:
        """Parameters of the output head; the embedding has as many."""
        return self.vocabulary * self.hidden

    @property
    def dense_params(self) -> int:
        """Parameters of the layers that every token goes through, without norms."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        rest = self.hidden * self.experts if self.experts else self._one_feed_forward
        return self.layers * (attention + rest)

    @property
    def expert_params(self) -> int:
        """Parameters of all experts; 0 if dense."""
        return self.layers * self.experts * self._one_feed_forward

    @property
    def active_params(self) -> int:
        """Parameters of the layers that a token goes through."""
        return self.dense_params + self.layers * self.experts_per_token * self._one_feed_forward

    @property
    def params(self) -> int:
        """All parameters, without norms."""
        return self.head_params * (1 if self.tied else 2) + self.dense_params + self.expert_params

    @property
    def _one_feed_forward(self) -> int:
        return 3 * self.hidden * self.feed_forward


@dataclass(frozen=True)
class Gpu:
    """A kind of GPU.

    Attributes:
        name: Name in the catalogue.
        mem_gib: Memory, in GiB.
        source: Where the figures come from.
        tflops: Peak rate of dense 16-bit matrix products with 32-bit sums, in 10^12 operations per second.
        fp8_tflops: The same in 8 bits; 0: it has none.
        mem_gbps: Peak bandwidth of the memory, in 10^9 bytes per second.
        link_gbps: Peak bandwidth to the other GPUs of a worker, one way, in 10^9 bytes per second.
    """

    name: str
    mem_gib: float
    source: str
    tflops: float = 0.0
    fp8_tflops: float = 0.0
    mem_gbps: float = 0.0
    link_gbps: float = 0.0

    @classmethod
    def from_data(cls, name: str, entry: Any) -> Self:
        """A GPU from an entry of `published.json`.

        Raises:
            ValueError: If a field is missing, not known or out of range.
        """
        where = f"gpu {name}"
        check_fields(where, entry, {"mem_gib", "source"}, _RATES)
        numbers = {key: _check.finite(f"{key} of {where}", entry[key]) for key in ("mem_gib", *_RATES) if key in entry}
        return cls(name=name, source=check_source(where, entry), **numbers)


@dataclass(frozen=True)
class Model:
    """A model.

    Attributes:
        name: Name in the catalogue.
        weight_bytes: Bytes of all weights that tensor parallelism splits, in 16 bits.
        kv_bytes_per_token: Bytes of KV cache per token, over all layers.
        kv_heads: Number of KV heads; more GPUs than that hold copies.
        source: Where the figures come from.
        architecture: Its sizes, where they are known.
    """

    name: str
    weight_bytes: int
    kv_bytes_per_token: int
    kv_heads: int
    source: str
    architecture: Architecture | None = None

    @classmethod
    def from_data(cls, name: str, entry: Any) -> Self:
        """A model from an entry of `published.json`.

        Raises:
            ValueError: If a field is missing, not known or out of range.
        """
        where = f"model {name}"
        check_fields(where, entry, {*_SIZES, "source"}, {"experts", "experts_per_token", "tied"})
        sizes = {size: _check.whole(f"{size} of {where}", entry[size], 1) for size in _SIZES}
        experts = _check.whole(f"experts of {where}", entry.get("experts", 0), 0)
        per_token = _check.whole(f"experts_per_token of {where}", entry.get("experts_per_token", 0), min(experts, 1))
        if per_token > experts:
            raise ValueError(f"experts_per_token of {where} must be at most its {experts} experts, got {per_token}")
        tied = _check.flag(f"tied of {where}", entry.get("tied", False))
        shape = Architecture(**sizes, experts=experts, experts_per_token=per_token, tied=tied)
        kv_bytes = 2 * 2 * shape.layers * shape.kv_heads * shape.head_dim
        return cls(name, 2 * shape.params, kv_bytes, shape.kv_heads, check_source(where, entry), shape)

    def bytes_as(self, weights: str) -> int:
        """Bytes of all weights in a number format, one of `WEIGHTS`.

        Raises:
            ValueError: If the format is not known, or needs an architecture that is not.
        """
        width = WEIGHTS[_check.choice("weights", weights, WEIGHTS)]
        if width == 2:
            return self.weight_bytes
        shape = self.shape()
        return self.weight_bytes + (width - 2) * (shape.dense_params + shape.expert_params)

    def shape(self) -> Architecture:
        """The architecture.

        Raises:
            ValueError: If it is not known.
        """
        if self.architecture is None:
            raise ValueError(f"model {self.name} has no architecture: give its {', '.join(_SIZES)}")
        return self.architecture


def check_fields(where: str, entry: Any, required: Iterable[str], optional: Iterable[str] = ()) -> None:
    """Raises a ValueError unless `entry` is a mapping with all required fields and none that is not known."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} must be an object, got {entry!r}")
    missing, unknown = set(required) - set(entry), set(entry) - set(required) - set(optional)
    if missing or unknown:
        raise ValueError(
            f"{where} must have the fields {sorted(required)} and may have {sorted(optional)}; it lacks "
            f"{sorted(missing)}, and {sorted(unknown)} are not known"
        )


def check_source(where: str, entry: Mapping[str, Any]) -> str:
    """The source of an entry; raises a ValueError if it is empty."""
    source = entry["source"]
    if not isinstance(source, str) or not source.strip():
        raise ValueError(f"source of {where} must say where its figures come from, got {source!r}")
    return source
