"""The catalogue: GPUs, models and the fitted iteration costs of a model on a kind of GPU.

All of it is data (`catalogue.json`); another pair is added there, without code. Every constant carries its source, and
the loader refuses one that does not.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, Self

from kvgym import _check
from kvgym.cluster.cost import IterationCost
from kvgym.cluster.memory import Gpu, Model, kv_tokens
from kvgym.cluster.spec import WorkerSpec

FORMS = ("roofline", "table")
DEFAULT_MEM_FRACTION = 0.9

# Names of the coefficients in the data (as in the formula of the fits) and in IterationCost.
_ROOFLINE = {"c0": "c0", "w": "w", "k": "k", "p": "p", "aS": "a_s", "aKV": "a_kv", "cB": "c_b", "cN": "c_n"}
_TABLE = {"aS": "a_s", "aKV": "a_kv", "cB": "c_b", "cN": "c_n"}
_FIT = ("fit", "fit_decode_only", "fit_prefill_only", "fit_mixed")


@dataclass(frozen=True)
class Pair:
    """A model on a number of GPUs, with its fitted iteration cost.

    Attributes:
        model: Name of the model.
        gpu: Name of the GPU.
        tp: Number of GPUs (tensor parallelism).
        costs: Iteration cost per form ("roofline", "table" or both), without overhead.
        fit: Figures of the fit per form, then per part of its points ("fit" for all of them): n, r2, and mape, p95, max
            and bias in per cent. Nothing where none is known.
        overhead_ms: CPU time per iteration that belongs to this fit, in ms.
        kv_tokens: KV tokens of the worker that was fitted; None where the memory formula gives them.
        source: Where the fit comes from.
        note: What to know before using it; may be empty.
    """

    model: str
    gpu: str
    tp: int
    costs: Mapping[str, IterationCost]
    fit: Mapping[str, Mapping[str, Any]]
    overhead_ms: float
    kv_tokens: int | None
    source: str
    note: str

    @property
    def name(self) -> str:
        """The pair in words, such as "llama-3.1-8b on 1 x h100"."""
        return f"{self.model} on {self.tp} x {self.gpu}"


@dataclass(frozen=True)
class Catalogue:
    """GPUs and models by name, pairs by (model, gpu, tp)."""

    gpus: Mapping[str, Gpu]
    models: Mapping[str, Model]
    pairs: Mapping[tuple[str, str, int], Pair]

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Builds a catalogue from the content of a catalogue file.

        Args:
            data: Parsed JSON in the layout of `catalogue.json`, whose "about" describes it.

        Raises:
            ValueError: If an entry lacks a field or its source, has a field that is not known, names a GPU or a model
                that is not in the catalogue, or stands there twice.
        """
        _fields("catalogue", data, {"gpus", "models", "pairs", "iteration_overhead_ms"}, {"about", "licence"})
        gpus = {name: _gpu(name, entry) for name, entry in data["gpus"].items()}
        models = {name: _model(name, entry) for name, entry in data["models"].items()}
        default_overhead = data["iteration_overhead_ms"]
        pairs: dict[tuple[str, str, int], Pair] = {}
        for number, entry in enumerate(data["pairs"]):
            pair = _pair(f"pairs[{number}]", entry, default_overhead)
            _check.choice(f"gpu of pairs[{number}]", pair.gpu, gpus)
            _check.choice(f"model of pairs[{number}]", pair.model, models)
            key = (pair.model, pair.gpu, pair.tp)
            if key in pairs:
                raise ValueError(f"pairs[{number}] repeats {pair.name}, which must stand in the catalogue once")
            pairs[key] = pair
        return cls(gpus, models, pairs)

    def pair(self, model: str, gpu: str, tp: int = 1) -> Pair:
        """The pair of a model, a GPU and their number.

        Raises:
            ValueError: If the model, the GPU or the pair is not in the catalogue; the message lists what is.
        """
        _check.choice("model", model, self.models)
        _check.choice("gpu", gpu, self.gpus)
        try:
            return self.pairs[model, gpu, _check.whole("tp", tp, 1)]
        except KeyError:
            known = ", ".join(pair.name for pair in self.pairs.values())
            raise ValueError(f"there is no fitted cost of {model} on {tp} x {gpu}; there is {known}") from None

    def worker_spec(
        self,
        model: str,
        gpu: str,
        tp: int = 1,
        *,
        page_size: int = 16,
        mem_fraction: float | None = None,
        overhead_ms: float | None = None,
        form: str = "roofline",
    ) -> WorkerSpec:
        """A worker of the catalogue.

        Args:
            model: Name of the model.
            gpu: Name of the GPU.
            tp: Number of GPUs that the model is split over.
            page_size: Tokens per page; give the engine the same.
            mem_fraction: Share of the GPUs' memory that the engine may use. None: the KV tokens of the fitted worker
                where the pair names them, else a share of 0.9.
            overhead_ms: CPU time per iteration, in ms. None: the pair's own, which is 0.5 unless it says otherwise.
            form: "roofline" (smooth; within 2 to 5 % for dense bf16 models) or "table" (piecewise linear; closer at
                its knots, for mixtures of experts).

        Raises:
            ValueError: If a name, the pair or the form is not in the catalogue (the message lists what is), a number is
                outside its range, or the KV memory holds less than one page.
        """
        pair = self.pair(model, gpu, tp)
        page_size = _check.whole("page_size", page_size, 1)
        _check.choice(f"form of {pair.name}", form, pair.costs)
        if mem_fraction is None and pair.kv_tokens is not None:
            tokens = pair.kv_tokens
        else:
            share = DEFAULT_MEM_FRACTION if mem_fraction is None else mem_fraction
            tokens = kv_tokens(self.models[model], self.gpus[gpu], tp, share)
        if tokens < page_size:
            raise ValueError(f"page_size must be at most the {tokens} KV tokens of {pair.name}, got {page_size}")
        overhead = pair.overhead_ms if overhead_ms is None else overhead_ms
        return WorkerSpec(tokens // page_size, replace(pair.costs[form], overhead_ms=overhead))


@cache
def load_catalogue() -> Catalogue:
    """The catalogue that comes with the package."""
    text = resources.files("kvgym.cluster").joinpath("catalogue.json").read_text(encoding="utf-8")
    return Catalogue.from_data(json.loads(text))


def worker_spec(
    model: str,
    gpu: str,
    tp: int = 1,
    *,
    page_size: int = 16,
    mem_fraction: float | None = None,
    overhead_ms: float | None = None,
    form: str = "roofline",
) -> WorkerSpec:
    """A worker of the package's catalogue; arguments and errors as for `Catalogue.worker_spec`."""
    return load_catalogue().worker_spec(
        model, gpu, tp, page_size=page_size, mem_fraction=mem_fraction, overhead_ms=overhead_ms, form=form
    )


def _fields(where: str, entry: Any, required: Iterable[str], optional: Iterable[str] = ()) -> None:
    """Raises a ValueError unless `entry` is a mapping with all required fields and none that is not known."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} must be an object, got {entry!r}")
    missing, unknown = set(required) - set(entry), set(entry) - set(required) - set(optional)
    if missing or unknown:
        raise ValueError(
            f"{where} must have the fields {sorted(required)} and may have {sorted(optional)}; it lacks "
            f"{sorted(missing)}, and {sorted(unknown)} are not known"
        )


def _source(where: str, entry: Mapping[str, Any]) -> str:
    """The source of an entry, which must not be empty."""
    source = entry["source"]
    if not isinstance(source, str) or not source.strip():
        raise ValueError(f"source of {where} must say where its figures come from, got {source!r}")
    return source


def _gpu(name: str, entry: Any) -> Gpu:
    where = f"gpu {name}"
    _fields(where, entry, {"mem_gib", "source"})
    return Gpu(name, _check.finite(f"mem_gib of {where}", entry["mem_gib"]), _source(where, entry))


def _model(name: str, entry: Any) -> Model:
    where = f"model {name}"
    sizes = ("weight_bytes", "kv_bytes_per_token", "kv_heads")
    _fields(where, entry, {*sizes, "source"})
    weight_bytes, kv_bytes, kv_heads = (_check.whole(f"{size} of {where}", entry[size], 1) for size in sizes)
    return Model(name, weight_bytes, kv_bytes, kv_heads, _source(where, entry))


def _sourced(where: str, entry: Any) -> Any:
    """The value of an object {"value": ..., "source": ...}."""
    _fields(where, entry, {"value", "source"})
    _source(where, entry)
    return entry["value"]


def _pair(where: str, entry: Any, default_overhead: Any) -> Pair:
    optional = {*FORMS, "kv_tokens", "iteration_overhead_ms", "note"}
    _fields(where, entry, {"model", "gpu", "tp", "source"}, optional)
    forms = [form for form in FORMS if form in entry]
    if not forms:
        raise ValueError(f"{where} must have at least one of the forms {', '.join(FORMS)}; it has none")
    read = {"roofline": _roofline, "table": _table}
    overhead = _sourced(f"iteration_overhead_ms of {where}", entry.get("iteration_overhead_ms", default_overhead))
    room = entry.get("kv_tokens")
    return Pair(
        model=entry["model"],
        gpu=entry["gpu"],
        tp=_check.whole(f"tp of {where}", entry["tp"], 1),
        costs={form: read[form](f"{form} of {where}", entry[form]) for form in forms},
        fit={form: {part: entry[form][part] for part in _FIT if part in entry[form]} for form in forms},
        overhead_ms=_check.finite(f"iteration_overhead_ms of {where}", overhead),
        kv_tokens=None if room is None else _check.whole("kv_tokens", _sourced(f"kv_tokens of {where}", room), 1),
        source=_source(where, entry),
        note=entry.get("note", ""),
    )


def _roofline(where: str, entry: Any) -> IterationCost:
    _fields(where, entry, {"coef"}, _FIT)
    _fields(f"coef of {where}", entry["coef"], _ROOFLINE)
    return IterationCost(**{_ROOFLINE[name]: value for name, value in entry["coef"].items()})


def _table(where: str, entry: Any) -> IterationCost:
    _fields(where, entry, {"T_knots", "g_ms", "coef"}, _FIT)
    _fields(f"coef of {where}", entry["coef"], _TABLE)
    coefficients = {_TABLE[name]: value for name, value in entry["coef"].items()}
    return IterationCost.from_table(entry["T_knots"], entry["g_ms"], **coefficients)
