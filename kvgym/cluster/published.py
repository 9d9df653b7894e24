"""Models and GPUs by the figures that their makers publish: sizes of layers, memory, bandwidth, peak rates."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any, Self

from kvgym import _check

WEIGHTS: Mapping[str, int | Fraction] = {
    "bf16": 2,
    "fp16": 2,
    "fp8": 1,
    "fp4": Fraction(9, 16),
    "mxfp4": Fraction(17, 32),
}
"""Number formats of weights: bytes per parameter, scales included. fp4 is NVFP4, 4 bits and 8 for each 16 of them;
mxfp4 has 8 for each 32. Embedding and output head stay in 16 bits, and all but the experts where a model says so."""

RATES = {"bf16": "tflops", "fp16": "tflops", "fp8": "fp8_tflops", "fp4": "fp4_tflops", "mxfp4": "tflops"}
"""The rate at which products with such weights run; mxfp4 weights are widened to 16 bits first, on any GPU."""

KV_DTYPES = {"bf16": 2, "fp8": 1}
"""Number formats of the KV cache: bytes per element."""

CONTEXT_TOKENS = 8192
"""Tokens of a request over which its windows and states are spread, unless it is said."""

_PARTS = ("layers", "experts")
_USUAL = {"bf16": "layers", "fp16": "layers", "fp8": "layers"}
_GPU_RATES = ("tflops", "fp8_tflops", "fp4_tflops", "mem_gbps", "link_gbps")


@dataclass(frozen=True)
class Architecture:
    """Sizes of a decoder with gated feed-forward parts, dense or a mixture of experts.

    Its layers attend to all tokens, or some of them to a window or a chunk, or keep a state of fixed size (linear
    attention, the gated delta rule). Attention is grouped-query or multi-head latent.

    Attributes:
        vocabulary: Rows of the embedding and of the output head.
        hidden: Width of the residual stream.
        layers: Number of layers.
        heads: Query heads.
        kv_heads: Key and value heads; 1 with multi-head latent attention, whose latent all heads share.
        head_dim: Width of a head; with multi-head latent attention of its keys without the rotary part.
        feed_forward: Inner width of the feed-forward part, or of one expert.
        experts: Experts per layer; 0: dense.
        experts_per_token: Experts that a token goes through.
        tied: Whether the output head is the embedding.
        shared_feed_forward: Inner width of all shared experts of a layer together, which every token goes through.
        dense_layers: Layers of a mixture without experts.
        dense_feed_forward: Inner width of their feed-forward part.
        kv_latent: Width of the latent of multi-head latent attention; 0: grouped-query attention.
        kv_rope: Width of its rotary key, which is kept beside the latent.
        q_latent: Width of its compressed queries; 0: they are not.
        value_dim: Width of a head's values.
        local_layers: Layers that attend to a window or a chunk alone.
        window: Last tokens that those attend to, where it slides.
        chunk: Tokens of a chunk, where they attend to the tokens of their own chunk.
        linear_layers: Layers without KV that keep a state.
        linear_key_heads: Key heads of those.
        linear_value_heads: Value heads; each keeps linear_head_dim x linear_head_dim elements.
        linear_head_dim: Width of both.
        linear_conv: Tokens that their convolution spans.
        gated: Whether each query head has an output gate, as wide as the query.
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
    shared_feed_forward: int = 0
    dense_layers: int = 0
    dense_feed_forward: int = 0
    kv_latent: int = 0
    kv_rope: int = 0
    q_latent: int = 0
    value_dim: int = 0
    local_layers: int = 0
    window: int = 0
    chunk: int = 0
    linear_layers: int = 0
    linear_key_heads: int = 0
    linear_value_heads: int = 0
    linear_head_dim: int = 0
    linear_conv: int = 0
    gated: bool = False

    @classmethod
    def from_data(cls, where: str, entry: Mapping[str, Any]) -> Self:
        """Reads the sizes of an entry of `published.json`.

        Args:
            where: Its name in messages.
            entry: The sizes alone.

        Raises:
            ValueError: If a size is out of range, or contradicts another one.
        """
        flags = {name: _check.flag(f"{name} of {where}", entry.get(name, False)) for name in ("tied", "gated")}
        sizes: dict[str, Any] = {
            name: _check.whole(f"{name} of {where}", entry.get(name, 0), int(name in SIZES))
            for name in _NAMES
            if name not in flags and name != "experts_per_token"
        }
        per_token = entry.get("experts_per_token", 0)
        sizes["experts_per_token"] = _check.whole(f"experts_per_token of {where}", per_token, min(sizes["experts"], 1))
        shape = cls(**sizes, **flags)
        shape._check_sizes(where)
        return shape

    def _check_sizes(self, where: str) -> None:
        """Raises a ValueError if sizes contradict each other."""
        if self.experts_per_token > self.experts:
            raise ValueError(
                f"experts_per_token of {where} must be at most its {self.experts} experts, got {self.experts_per_token}"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads of {where} must divide its {self.heads} heads, got {self.kv_heads}")
        together = (
            ("kv_latent", "kv_rope", "value_dim"),
            ("dense_layers", "dense_feed_forward"),
            ("linear_layers", "linear_key_heads", "linear_value_heads", "linear_head_dim", "linear_conv"),
        )
        for group in together:
            given = [name for name in group if getattr(self, name)]
            if given and len(given) < len(group):
                raise ValueError(f"{where} must have all of {', '.join(group)} above 0 or none; it has {given}")
        if (self.local_layers > 0) + (self.window > 0) + (self.chunk > 0) not in (0, 2) or (self.window and self.chunk):
            raise ValueError(
                f"{where} must have local_layers with one of window and chunk, or none of the three; got local_layers="
                f"{self.local_layers}, window={self.window}, chunk={self.chunk}"
            )
        if self.local_layers + self.linear_layers > self.layers or self.dense_layers > self.layers:
            raise ValueError(
                f"local_layers and linear_layers together, and dense_layers, of {where} must be at most its "
                f"{self.layers} layers; got {self.local_layers}, {self.linear_layers} and {self.dense_layers}"
            )
        for name, needed in (
            ("shared_feed_forward", "experts"),
            ("dense_layers", "experts"),
            ("q_latent", "kv_latent"),
        ):
            if getattr(self, name) and not getattr(self, needed):
                raise ValueError(f"{name} of {where} must be 0 where it has no {needed}, got {getattr(self, name)}")
        if self.kv_latent and (self.kv_heads != 1 or self.gated):
            raise ValueError(
                f"{where} has kv_latent: kv_heads must be 1 (all heads share the latent) and gated false, got "
                f"kv_heads={self.kv_heads}, gated={self.gated}"
            )

    @property
    def head_params(self) -> int:
        """Parameters of the output head; the embedding has as many."""
        return self.vocabulary * self.hidden

    @property
    def attention_params(self) -> int:
        """Parameters of the attention of all layers, and of the layers that keep a state in its place."""
        if self.kv_latent:
            queries = self.heads * (self.head_dim + self.kv_rope)
            q = self.q_latent * (self.hidden + queries) if self.q_latent else self.hidden * queries
            kv = self.hidden * (self.kv_latent + self.kv_rope)
            one = (
                q + kv + self.heads * (self.kv_latent * (self.head_dim + self.value_dim) + self.value_dim * self.hidden)
            )
        else:
            one = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
            one += self.hidden * self.head_dim * self.heads * self.gated
        mixed, values = self._linear_widths
        linear = self.hidden * (mixed + 2 * values + 2 * self.linear_value_heads) + mixed * self.linear_conv
        return (self.layers - self.linear_layers) * one + self.linear_layers * linear

    @property
    def dense_params(self) -> int:
        """Parameters of the layers that every token goes through, without norms."""
        if self.experts:
            shared = self.hidden * self.experts + 3 * self.hidden * self.shared_feed_forward
            rest = self._mixtures * shared + self.dense_layers * 3 * self.hidden * self.dense_feed_forward
        else:
            rest = self.layers * self._one_feed_forward
        return self.attention_params + rest

    @property
    def expert_params(self) -> int:
        """Parameters of all experts but the shared ones; 0 if dense."""
        return self._mixtures * self.experts * self._one_feed_forward

    @property
    def active_expert_params(self) -> int:
        """Parameters of the experts that a token goes through, but for the shared ones."""
        return self._mixtures * self.experts_per_token * self._one_feed_forward

    @property
    def active_params(self) -> int:
        """Parameters of the layers that a token goes through."""
        return self.dense_params + self.active_expert_params

    @property
    def params(self) -> int:
        """All parameters, without norms."""
        return self.head_params * (1 if self.tied else 2) + self.dense_params + self.expert_params

    @property
    def kv_elements(self) -> int:
        """Elements of KV that a layer with KV keeps per token."""
        return self.kv_latent + self.kv_rope if self.kv_latent else 2 * self.kv_heads * self.head_dim

    @property
    def state_bytes(self) -> int:
        """Bytes of state of a request over all layers that keep one, in 16 bits: heads, and the convolution's past."""
        mixed, _ = self._linear_widths
        one = self.linear_value_heads * self.linear_head_dim**2 + mixed * (self.linear_conv - 1)
        return 2 * self.linear_layers * one

    @property
    def span(self) -> int:
        """Tokens of a window or chunk; 0 where there is none."""
        return self.window or self.chunk

    @property
    def _linear_widths(self) -> tuple[int, int]:
        """Widths of a state layer's queries, keys and values together, and of its values."""
        values = self.linear_value_heads * self.linear_head_dim
        return 2 * self.linear_key_heads * self.linear_head_dim + values, values

    @property
    def _mixtures(self) -> int:
        return self.layers - self.dense_layers

    def growing_layers(self, context_tokens: int | None = None) -> int:
        """Layers that keep every token of a request of `context_tokens` tokens (None: of any length)."""
        short = context_tokens is not None and context_tokens <= self.span
        return self.layers - self.linear_layers - (0 if short else self.local_layers)

    @property
    def _one_feed_forward(self) -> int:
        return 3 * self.hidden * self.feed_forward


_NAMES = tuple(one.name for one in fields(Architecture))
SIZES = ("vocabulary", "hidden", "layers", "heads", "kv_heads", "head_dim", "feed_forward")
"""Sizes that every model has."""


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
        fp4_tflops: The same as tflops in NVFP4; 0: it has none.
    """

    name: str
    mem_gib: float
    source: str
    tflops: float = 0.0
    fp8_tflops: float = 0.0
    mem_gbps: float = 0.0
    link_gbps: float = 0.0
    fp4_tflops: float = 0.0

    @classmethod
    def from_data(cls, name: str, entry: Any) -> Self:
        """A GPU from an entry of `published.json`.

        Raises:
            ValueError: If a field is missing, not known or out of range.
        """
        where = f"gpu {name}"
        check_fields(where, entry, {"mem_gib", "source"}, _GPU_RATES)
        known = [key for key in ("mem_gib", *_GPU_RATES) if key in entry]
        numbers = {key: _check.finite(f"{key} of {where}", entry[key]) for key in known}
        return cls(name=name, source=check_source(where, entry), **numbers)

    @property
    def formats(self) -> tuple[str, ...]:
        """Number formats of weights that it has a rate for."""
        return tuple(name for name, rate in RATES.items() if getattr(self, rate) > 0)


@dataclass(frozen=True)
class Model:
    """A model.

    Attributes:
        name: Name in the catalogue.
        weight_bytes: Bytes of all weights that tensor parallelism splits, in 16 bits.
        kv_bytes_per_token: Bytes of KV cache per token in 16 bits, over all layers that keep every token.
        kv_heads: Number of KV heads; more GPUs than that hold copies.
        source: Where the figures come from.
        architecture: Its sizes, where they are known.
        weights: Formats that its weights are published in, or that engines turn them into -> what is in that format,
            "layers" or "experts"; the rest stays in 16 bits.
    """

    name: str
    weight_bytes: int
    kv_bytes_per_token: int
    kv_heads: int
    source: str
    architecture: Architecture | None = None
    weights: Mapping[str, str] = field(default_factory=lambda: _USUAL)

    @classmethod
    def from_data(cls, name: str, entry: Any) -> Self:
        """A model from an entry of `published.json`.

        Raises:
            ValueError: If a field is missing, not known or out of range, or fields contradict each other.
        """
        where = f"model {name}"
        check_fields(where, entry, {*SIZES, "source"}, {*_NAMES, "weights"} - set(SIZES))
        shape = Architecture.from_data(where, entry)
        weights = dict(_check.mapping(f"weights of {where}", entry.get("weights", _USUAL)))
        for format_, part in weights.items():
            _check.choice(f"weights of {where}", format_, WEIGHTS)
            _check.choice(f"{format_} of the weights of {where}", part, _PARTS if shape.experts else _PARTS[:1])
        kv_bytes = 2 * shape.growing_layers() * shape.kv_elements
        return cls(name, 2 * shape.params, kv_bytes, shape.kv_heads, check_source(where, entry), shape, weights)

    def widths(self, weights: str) -> tuple[int | Fraction, int | Fraction]:
        """Bytes per parameter of what every token goes through, and of the experts, in a number format.

        Raises:
            ValueError: If the format is not known, or the model is not to be had in it; the message lists which are.
        """
        width = WEIGHTS[_check.choice("weights", weights, WEIGHTS)]
        if weights not in self.weights:
            raise ValueError(
                f"weights of {self.name} must be one of {', '.join(self.weights)}, got {weights!r}: no such release "
                "is known"
            )
        return (width if self.weights[weights] == "layers" else 2), width

    def bytes_as(self, weights: str) -> int:
        """Bytes of all weights in a number format, one of `WEIGHTS`.

        Raises:
            ValueError: As for `widths`, or if the format needs an architecture that is not known.
        """
        dense, experts = self.widths(weights)
        if dense == experts == 2:
            return self.weight_bytes
        shape = self.shape()
        return int(self.weight_bytes + (dense - 2) * shape.dense_params + (experts - 2) * shape.expert_params)

    @property
    def kv_bytes_per_request(self) -> int:
        """Bytes in 16 bits that a request longer than its windows and chunks keeps beside its tokens."""
        shape = self.architecture
        return 2 * shape.local_layers * shape.span * shape.kv_elements + shape.state_bytes if shape else 0

    def kv_bytes(self, context_tokens: int = CONTEXT_TOKENS, kv_dtype: str = "bf16") -> Fraction:
        """Bytes of KV cache per token of requests of `context_tokens` tokens, their windows and states spread evenly.

        Args:
            context_tokens: Tokens of a request, >= 1. Layers with a window or chunk at least as long keep them all.
            kv_dtype: Number format of the KV cache, one of `KV_DTYPES`; states stay in 16 bits.

        Raises:
            ValueError: If an argument is out of range.
        """
        return self.kv_bytes_per_gpu(1, context_tokens, kv_dtype)

    def kv_bytes_per_gpu(
        self, tp: int, context_tokens: int = CONTEXT_TOKENS, kv_dtype: str = "bf16", *, data_attention: bool = False
    ) -> Fraction:
        """The same on one of `tp` GPUs, for each token of the worker; arguments as for `kvgym.cluster.kv_tokens`."""
        _check.whole("context_tokens", context_tokens, 1)
        width = KV_DTYPES[_check.choice("kv_dtype", kv_dtype, KV_DTYPES)]
        sharers, state_sharers = self.sharers(tp, data_attention)
        shape = self.architecture
        if shape is None:
            return Fraction(self.kv_bytes_per_token * width, 2 * sharers)
        growing = shape.growing_layers(context_tokens)
        bounded = (shape.layers - shape.linear_layers - growing) * Fraction(shape.span, context_tokens)
        kv = width * shape.kv_elements * (growing + bounded) / sharers
        return kv + Fraction(shape.state_bytes, context_tokens * state_sharers)

    def sharers(self, tp: int, data_attention: bool = False) -> tuple[int, int]:
        """GPUs of `tp` that KV is split over, and those that states are."""
        states = self.architecture.linear_key_heads if self.architecture else 0
        return (tp, tp) if data_attention else (min(tp, self.kv_heads), min(tp, max(1, states)))

    def shape(self) -> Architecture:
        """The architecture.

        Raises:
            ValueError: If it is not known.
        """
        if self.architecture is None:
            raise ValueError(f"model {self.name} has no architecture: give its {', '.join(SIZES)}")
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
