"""The efficiencies of `roofline.EFFICIENCY`: those that bring published figures nearest to the fitted pairs.

    python -m kvgym.cluster.calibrate    half a minute; also prints the errors with a GPU or a model left out

Minimised is the mean over dense 16-bit pairs of the weighted mean of |log(published / fitted)|: decodes 45 %, prefills
20 %, mixed iterations 35 %, as in the fits. The search goes along one constant at a time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import astuple, fields, replace

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from kvgym import _command
from kvgym.cluster.catalogue import Catalogue, load_catalogue
from kvgym.cluster.memory import kv_tokens
from kvgym.cluster.pair import Pair
from kvgym.cluster.points import parts, times_ms, usual_points
from kvgym.cluster.roofline import EFFICIENCY, Efficiency, published_cost

SHARES = {"decode": 0.45, "prefill": 0.2, "mixed": 0.35}


class Distance:
    """Distance of published costs from fitted pairs."""

    def __init__(self, catalogue: Catalogue, pairs: Sequence[Pair]) -> None:
        """Takes the times of the pairs' advised forms."""
        self.known = []
        for pair in pairs:
            model, gpu = catalogue.models[pair.model], catalogue.gpus[pair.gpu]
            points = usual_points(pair.kv_tokens or kv_tokens(model, gpu, pair.tp, weights=pair.weights))
            masks = {part: mask for part, mask in parts(points).items() if part in SHARES}
            self.known.append((pair, model, gpu, points, masks, np.log(times_ms(pair.costs[pair.form], points))))

    def __call__(self, efficiency: Efficiency) -> float:
        """Mean distance over the pairs."""
        return float(np.mean(self.each(efficiency)))

    def each(self, efficiency: Efficiency) -> list[float]:
        """Distance of each pair: the weighted mean of |log ratio|."""
        result = []
        for pair, model, gpu, points, masks, true in self.known:
            cost = published_cost(model, gpu, pair.tp, pair.weights, efficiency)
            off = np.abs(np.log(times_ms(cost, points)) - true)
            result.append(sum(share * float(off[masks[part]].mean()) for part, share in SHARES.items()))
        return result


def dense_pairs(catalogue: Catalogue) -> list[Pair]:
    """The pairs that are calibrated on: dense, bf16."""
    return [
        pair
        for pair in catalogue.pairs.values()
        if pair.weights == "bf16" and pair.kv_tokens is None and not catalogue.models[pair.model].shape().experts
    ]


def calibrate(distance: Distance, start: Efficiency = EFFICIENCY, rounds: int = 60) -> Efficiency:
    """Constants at which no step along one of them brings the costs nearer.

    Args:
        distance: The function to minimise.
        start: Where the search begins.
        rounds: At most so many rounds over the constants; the steps shrink from 30 % to 1 %.
    """
    best, least, step = start, distance(start), 0.3
    for _ in range(rounds):
        before = least
        for field in fields(Efficiency):
            for factor in (1 + step, 1 / (1 + step)):
                while True:
                    value = getattr(best, field.name) * factor
                    tried = replace(best, **{field.name: max(value, 1.0) if field.name == "sharpness" else value})
                    found = distance(tried)
                    if not found < least:
                        break
                    best, least = tried, found
        if least > before * 0.999:
            if step < 0.02:
                break
            step /= 2
    return best


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m kvgym.cluster.calibrate", description=str(__doc__).split("\n")[0])
    parser.parse_args(arguments)
    catalogue = load_catalogue()
    pairs = dense_pairs(catalogue)
    found = calibrate(Distance(catalogue, pairs))
    rows = [(f.name, old, new) for f, old, new in zip(fields(found), astuple(EFFICIENCY), astuple(found), strict=True)]
    print(tabulate(rows, ("constant", "in roofline.py", "found"), floatfmt=".4g"), "\n")
    groups = {("gpu", pair.gpu) for pair in pairs} | {("model", pair.model) for pair in pairs}
    table = [("none", len(pairs), *_summary(Distance(catalogue, pairs).each(found)))]
    for what, name in tqdm(sorted(groups), desc="left out", file=sys.stderr, disable=None):
        out = [pair for pair in pairs if getattr(pair, what) == name]
        rest = calibrate(Distance(catalogue, [pair for pair in pairs if pair not in out]), found)
        table.append((name, len(out), *_summary(Distance(catalogue, out).each(rest))))
    print(tabulate(table, ("left out", "pairs", "median %", "largest %"), floatfmt=".1f"))
    return 0


def _summary(distances: list[float]) -> tuple[float, float]:
    return 100 * float(np.median(distances)), 100 * max(distances)


if __name__ == "__main__":
    _command.run(main)
