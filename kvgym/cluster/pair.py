"""A model on GPUs with its fitted iteration costs, and how an entry of `catalogue.json` is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kvgym import _check
from kvgym.cluster.cost import IterationCost
from kvgym.cluster.published import WEIGHTS, check_fields, check_source

FORMS = ("linear", "roofline", "table")
PARTS = ("fit", "fit_decode_only", "fit_prefill_only", "fit_mixed")
"""Parts of the points of a fit: all, and those with decodes alone, prefills alone, both."""

# Names of the coefficients in the data (as in the formula of the fits) and in IterationCost.
_LINEAR = ("a0", "a1", "a2", "a3", "a4")
_ROOFLINE = {"c0": "c0", "w": "w", "k": "k", "p": "p", "aS": "a_s", "aKV": "a_kv", "cB": "c_b", "cN": "c_n"}
_TABLE = {"aS": "a_s", "aKV": "a_kv", "cB": "c_b", "cN": "c_n"}


@dataclass(frozen=True)
class Pair:
    """A model on a number of GPUs, with its fitted iteration costs.

    Attributes:
        model: Name of the model.
        gpu: Name of the GPU.
        tp: Number of GPUs (tensor parallelism).
        weights: Number format of the weights, one of `kvgym.cluster.WEIGHTS`.
        form: The form to use unless another one is asked for.
        costs: Iteration cost per form ("linear", "roofline", "table", or some of them), without overhead.
        fit: Figures of the fit per form, then per part of its points ("fit" for all of them): n, r2, and mape, p95, max
            and bias in per cent. Nothing where none is known.
        overhead_ms: CPU time per iteration that belongs to this fit, in ms.
        kv_tokens: KV tokens of the worker that was fitted; None where the memory formula gives them.
        source: Where the fit comes from.
        note: Remarks for its users; may be empty.
    """

    model: str
    gpu: str
    tp: int
    weights: str
    form: str
    costs: Mapping[str, IterationCost]
    fit: Mapping[str, Mapping[str, Any]]
    overhead_ms: float
    kv_tokens: int | None
    source: str
    note: str

    @property
    def key(self) -> tuple[str, str, int, str]:
        """Model, GPU, number of GPUs and weights: its key in the catalogue."""
        return self.model, self.gpu, self.tp, self.weights

    @property
    def name(self) -> str:
        """The pair in words, such as "llama-3.1-8b on 1 x h100"; a format other than bf16 is named."""
        return pair_name(*self.key)


def pair_name(model: str, gpu: str, tp: int, weights: str) -> str:
    """A model on GPUs in words."""
    return f"{model} on {tp} x {gpu}" + ("" if weights == "bf16" else f" ({weights})")


def read_pair(where: str, entry: Any, default_overhead: Any) -> Pair:
    """A pair from an entry of `catalogue.json`.

    Args:
        where: Its name in messages.
        entry: The parsed entry.
        default_overhead: CPU time per iteration where the entry names none, {"value": ms, "source": ...}.

    Raises:
        ValueError: If a field is missing, not known or out of range.
    """
    optional = {*FORMS, "weights", "form", "kv_tokens", "iteration_overhead_ms", "note"}
    check_fields(where, entry, {"model", "gpu", "tp", "source"}, optional)
    forms = [form for form in FORMS if form in entry]
    if not forms:
        raise ValueError(f"{where} must have at least one of the forms {', '.join(FORMS)}; it has none")
    read = {"linear": _linear, "roofline": _roofline, "table": _table}
    overhead = sourced(f"iteration_overhead_ms of {where}", entry.get("iteration_overhead_ms", default_overhead))
    room = entry.get("kv_tokens")
    return Pair(
        model=entry["model"],
        gpu=entry["gpu"],
        tp=_check.whole(f"tp of {where}", entry["tp"], 1),
        weights=_check.choice(f"weights of {where}", entry.get("weights", "bf16"), WEIGHTS),
        form=_check.choice(f"form of {where}", entry.get("form", "roofline"), forms),
        costs={form: read[form](f"{form} of {where}", entry[form]) for form in forms},
        fit={form: {part: entry[form][part] for part in PARTS if part in entry[form]} for form in forms},
        overhead_ms=_check.finite(f"iteration_overhead_ms of {where}", overhead),
        kv_tokens=None if room is None else _check.whole("kv_tokens", sourced(f"kv_tokens of {where}", room), 1),
        source=check_source(where, entry),
        note=entry.get("note", ""),
    )


def sourced(where: str, entry: Any) -> Any:
    """The value of an object {"value": ..., "source": ...}; raises a ValueError if it is none."""
    check_fields(where, entry, {"value", "source"})
    check_source(where, entry)
    return entry["value"]


def _linear(where: str, entry: Any) -> IterationCost:
    check_fields(where, entry, {"coef"}, PARTS)
    check_fields(f"coef of {where}", entry["coef"], _LINEAR)
    return IterationCost.linear(**entry["coef"])


def _roofline(where: str, entry: Any) -> IterationCost:
    check_fields(where, entry, {"coef"}, PARTS)
    check_fields(f"coef of {where}", entry["coef"], _ROOFLINE)
    return IterationCost(**{_ROOFLINE[name]: value for name, value in entry["coef"].items()})


def _table(where: str, entry: Any) -> IterationCost:
    check_fields(where, entry, {"T_knots", "g_ms", "coef"}, PARTS)
    check_fields(f"coef of {where}", entry["coef"], _TABLE)
    coefficients = {_TABLE[name]: value for name, value in entry["coef"].items()}
    return IterationCost.from_table(entry["T_knots"], entry["g_ms"], **coefficients)
