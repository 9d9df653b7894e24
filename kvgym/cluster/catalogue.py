"""The catalogue: GPUs, links, models and the fitted iteration costs of a model on a kind of GPU.

All of it is data: `published.json` holds GPUs, links and models, `catalogue.json` the fitted pairs and overheads;
another one is added there, without code. Every constant carries its source, and the loader refuses one that does not.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any, Self

from kvgym import _check
from kvgym.cluster.memory import kv_tokens
from kvgym.cluster.network import Link
from kvgym.cluster.pair import Pair, pair_name, read_pair, sourced
from kvgym.cluster.published import CONTEXT_TOKENS, KV_DTYPES, WEIGHTS, Gpu, Model, check_fields, check_source
from kvgym.cluster.roofline import published_cost
from kvgym.cluster.spec import WorkerSpec

DEFAULT_MEM_FRACTION = 0.9
PUBLISHED = "published"
"""The form that needs no fit: a roofline of published figures."""


@dataclass(frozen=True)
class RequestOverhead:
    """Time of a request outside the engine: the frontend's work, which the simulator leaves out.

    Attributes:
        before_ms: From the client to the engine's queue, in ms.
        after_ms: From the last token to the client, in ms.
        per_token_ms: Per output token, in ms.
        source: Where the figures come from.
    """

    before_ms: float
    after_ms: float
    per_token_ms: float
    source: str

    @classmethod
    def from_data(cls, entry: Any) -> Self:
        """Reads an object with these fields.

        Raises:
            ValueError: If one is missing, not known or out of range.
        """
        names = ("before_ms", "after_ms", "per_token_ms")
        check_fields("request_overhead", entry, {*names, "source"})
        numbers = {name: _check.finite(f"{name} of request_overhead", entry[name]) for name in names}
        return cls(**numbers, source=check_source("request_overhead", entry))


@dataclass(frozen=True)
class Catalogue:
    """GPUs, links, models by name, pairs by (model, gpu, tp, weights); CPU time per iteration (ms), and per request."""

    gpus: Mapping[str, Gpu]
    links: Mapping[str, Link]
    models: Mapping[str, Model]
    pairs: Mapping[tuple[str, str, int, str], Pair]
    overhead_ms: float
    request_overhead: RequestOverhead
    refused: Mapping[str, str] = field(default_factory=dict)
    """Models that `Architecture` does not express -> why."""

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Builds a catalogue from the content of its files.

        Args:
            data: Parsed JSON with the fields of `published.json` and of `catalogue.json`, whose "about" describe them.

        Raises:
            ValueError: If an entry lacks a field or its source, has a field that is not known, names a GPU or a model
                that is not in the catalogue, or stands there twice.
        """
        required = {"gpus", "links", "models", "pairs", "iteration_overhead_ms", "request_overhead"}
        check_fields("catalogue", data, required, {"about", "licence", "refused"})
        gpus = {name: Gpu.from_data(name, entry) for name, entry in data["gpus"].items()}
        links = {name: Link.from_data(name, entry) for name, entry in data["links"].items()}
        models = {name: Model.from_data(name, entry) for name, entry in data["models"].items()}
        default = data["iteration_overhead_ms"]
        pairs: dict[tuple[str, str, int, str], Pair] = {}
        for number, entry in enumerate(data["pairs"]):
            pair = read_pair(f"pairs[{number}]", entry, default)
            _check.choice(f"gpu of pairs[{number}]", pair.gpu, gpus)
            _check.choice(f"model of pairs[{number}]", pair.model, models)
            if pair.key in pairs:
                raise ValueError(f"pairs[{number}] repeats {pair.name}, which must stand in the catalogue once")
            pairs[pair.key] = pair
        overhead = _check.finite("iteration_overhead_ms", sourced("iteration_overhead_ms", default))
        request = RequestOverhead.from_data(data["request_overhead"])
        return cls(gpus, links, models, pairs, overhead, request, dict(data.get("refused", {})))

    def pair(self, model: str, gpu: str, tp: int = 1, weights: str = "bf16") -> Pair:
        """The pair of a model, a GPU, their number and a format of the weights.

        Raises:
            ValueError: If the model, the GPU, the format or the pair is not in the catalogue; the message says what is.
        """
        self._model(model)
        _check.choice("gpu", gpu, self.gpus)
        _check.choice("weights", weights, WEIGHTS)
        try:
            return self.pairs[model, gpu, _check.whole("tp", tp, 1), weights]
        except KeyError:
            known = ", ".join(pair.name for pair in self.pairs.values() if pair.model == model)
            raise ValueError(
                f"there is no fitted cost of {pair_name(model, gpu, tp, weights)}; there is {known or 'none of it'}. "
                f"The form {PUBLISHED!r} needs no fit"
            ) from None

    def worker_spec(
        self,
        model: str | Mapping[str, Any],
        gpu: str | Mapping[str, Any],
        tp: int = 1,
        *,
        weights: str = "bf16",
        kv_dtype: str = "bf16",
        context_tokens: int = CONTEXT_TOKENS,
        data_attention: bool = False,
        page_size: int = 16,
        mem_fraction: float | None = None,
        overhead_ms: float | None = None,
        form: str | None = None,
    ) -> WorkerSpec:
        """A worker of the catalogue.

        Args:
            model: Name of the model. With the form "published" also its figures: a mapping with "name" and the fields
                of a model of `published.json`.
            gpu: Name of the GPU, or its figures in the same way.
            tp: Number of GPUs that the model is split over.
            weights: Number format of the weights, one of `WEIGHTS`.
            kv_dtype: Number format of the KV cache, "bf16" or "fp8": of room, decodes and transfers.
            context_tokens: Tokens of a request, over which what its layers keep per request (windows, chunks, states)
                is spread; without effect on models whose layers all keep every token.
            data_attention: Whether each GPU does the attention of requests of its own; with the form "published" only.
            page_size: Tokens per page; give the engine the same.
            mem_fraction: Share of the GPUs' memory that the engine may use. None: the KV tokens of the fitted worker
                where the pair names them, else a share of 0.9.
            overhead_ms: CPU time per iteration, in ms. None: the pair's own, which is 0.5 unless it says otherwise.
            form: "linear", "roofline" or "table" of the fitted pair; None: the one that the pair advises (roofline for
                dense models in 16 bits, linear in 8 bits, table for mixtures of experts). "published": a roofline from
                published figures, for any model on any GPU, coarser (docs/costs.md).

        Raises:
            ValueError: If a name, the pair or the form is not in the catalogue (the message lists what is), a number is
                outside its range, or the KV memory holds less than one page.
        """
        page_size = _check.whole("page_size", page_size, 1)
        given, tokens = None, None
        how: dict[str, Any] = {"kv_dtype": kv_dtype, "context_tokens": context_tokens, "data_attention": data_attention}
        if form == PUBLISHED:
            given, kind = self._model(model), self._gpu(gpu)
            cost, overhead = published_cost(given, kind, tp, weights, **how), self.overhead_ms
            name = pair_name(given.name, kind.name, tp, weights)
        else:
            pair = self.pair(_name("model", model), _name("gpu", gpu), tp, weights)
            given, kind, name = self.models[pair.model], self.gpus[pair.gpu], pair.name
            cost = pair.costs[_check.choice(f"form of {name}", pair.form if form is None else form, pair.costs)]
            tokens, overhead = pair.kv_tokens, pair.overhead_ms
            if _check.flag("data_attention", data_attention):
                raise ValueError(
                    f"data_attention must be false for {name}: it was fitted without; form {PUBLISHED!r} has it"
                )
            if _check.choice("kv_dtype", kv_dtype, KV_DTYPES) != "bf16":
                if tokens is not None and mem_fraction is None:
                    raise ValueError(
                        f"kv_dtype must be 'bf16' for {name}, whose {tokens} KV tokens are those of its source, or "
                        f"mem_fraction be given; got {kv_dtype!r}"
                    )
                cost = replace(cost, a_kv=cost.a_kv * KV_DTYPES[kv_dtype] / KV_DTYPES["bf16"])
        if mem_fraction is not None or tokens is None:
            share = DEFAULT_MEM_FRACTION if mem_fraction is None else mem_fraction
            tokens = kv_tokens(given, kind, tp, share, weights, **how)
        if tokens < page_size:
            raise ValueError(f"page_size must be at most the {tokens} KV tokens of {name}, got {page_size}")
        overhead = overhead if overhead_ms is None else overhead_ms
        moved = math.ceil(given.kv_bytes(context_tokens, kv_dtype))
        return WorkerSpec(tokens // page_size, replace(cost, overhead_ms=overhead), moved, tp)

    def _model(self, model: Any) -> Model:
        if isinstance(model, Mapping):
            return Model.from_data(*_given("model", model))
        if isinstance(model, str) and model in self.refused:
            raise ValueError(f"model {model} is refused: {self.refused[model]}")
        return self.models[_check.choice("model", model, self.models)]

    def _gpu(self, gpu: Any) -> Gpu:
        if isinstance(gpu, Mapping):
            return Gpu.from_data(*_given("gpu", gpu))
        return self.gpus[_check.choice("gpu", gpu, self.gpus)]


@cache
def load_catalogue() -> Catalogue:
    """The catalogue that comes with the package."""
    return Catalogue.from_data(catalogue_data())


def catalogue_data() -> dict[str, Any]:
    """A fresh copy of the content of the package's files, as `Catalogue.from_data` wants it."""
    folder = resources.files("kvgym.cluster")
    published, fitted = (
        json.loads(folder.joinpath(name).read_text(encoding="utf-8")) for name in ("published.json", "catalogue.json")
    )
    return {**published, **fitted}


def worker_spec(
    model: str | Mapping[str, Any],
    gpu: str | Mapping[str, Any],
    tp: int = 1,
    *,
    weights: str = "bf16",
    kv_dtype: str = "bf16",
    context_tokens: int = CONTEXT_TOKENS,
    data_attention: bool = False,
    page_size: int = 16,
    mem_fraction: float | None = None,
    overhead_ms: float | None = None,
    form: str | None = None,
) -> WorkerSpec:
    """A worker of the package's catalogue; arguments and errors as for `Catalogue.worker_spec`."""
    return load_catalogue().worker_spec(
        model,
        gpu,
        tp,
        weights=weights,
        kv_dtype=kv_dtype,
        context_tokens=context_tokens,
        data_attention=data_attention,
        page_size=page_size,
        mem_fraction=mem_fraction,
        overhead_ms=overhead_ms,
        form=form,
    )


def _name(what: str, value: Any) -> Any:
    """`value`, unless it is a mapping."""
    if isinstance(value, Mapping):
        raise ValueError(f"{what} must be a name unless the form is {PUBLISHED!r}, got {value!r}")
    return value


def _given(what: str, value: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and entry of figures that a caller gives, who need not name a source."""
    entry = {"source": "given by the caller", **value}
    name = entry.pop("name", None)
    if not isinstance(name, str):
        raise ValueError(f"name of the {what} must be a string beside its figures, got {name!r}")
    return name, entry
