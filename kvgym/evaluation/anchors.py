"""The frozen anchors: J of the random router and of the reference, per scenario version and test seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from kvgym import _atomic
from kvgym.evaluation import files
from kvgym.evaluation.scoring import RANDOM, REFERENCE, tier
from kvgym.evaluation.statistics import Floats
from kvgym.scenarios import SUITE_SCENARIOS, Scenario

PATH = Path(__file__).with_name("anchors.json")
N_SEEDS = 32
_SCHEMA = 1


@dataclass(frozen=True)
class Anchors:
    """The anchors of one version of a scenario.

    Attributes:
        version: Of the scenario.
        seeds: Test seeds.
        random: J of the random anchor on each (s).
        reference: J of the reference on each (s).
        utilisation: Of the random anchor, mean over the seeds.
    """

    version: int
    seeds: tuple[int, ...]
    random: Floats
    reference: Floats
    utilisation: float

    @property
    def tier(self) -> str:
        """See `kvgym.evaluation.scoring.tier`."""
        return tier(self.random, self.reference, self.utilisation)

    def agree(self, seeds: tuple[int, ...], random: Floats, reference: Floats) -> bool:
        """Whether played anchors are the frozen ones on the seeds that both have, to 1e-9."""
        _, played, frozen = np.intersect1d(seeds, self.seeds, return_indices=True)
        pairs = ((random, self.random), (reference, self.reference))
        return all(np.allclose(new[played], old[frozen], rtol=1e-9, atol=0) for new, old in pairs)


def frozen(scenario: Scenario) -> Anchors | None:
    """The frozen anchors of a scenario of the suite as it is; None where its version has none, or a field differs."""
    anchors = load().get(scenario.name) if SUITE_SCENARIOS.get(scenario.name) == scenario else None
    return anchors if anchors is not None and anchors.version == scenario.version else None


@lru_cache(maxsize=1)
def load(path: Path = PATH) -> dict[str, Anchors]:
    """All frozen anchors by scenario; none where there is no file yet.

    Raises:
        ResultError: If the file is not as `save` writes it.
    """
    if not path.is_file():
        return {}
    value = files.read(path)
    try:
        if value["schema_version"] != _SCHEMA:
            raise files.ResultError(f"{path}: schema_version is {value['schema_version']!r}, not {_SCHEMA}")
        seeds = tuple(value["seeds"])
        return {
            name: Anchors(
                item["version"],
                seeds,
                np.array(item["random"], float),
                np.array(item["reference"], float),
                float(item["utilisation"]),
            )
            for name, item in value["scenarios"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise files.ResultError(f"{path}: not as the anchors are written: {error!r}") from error


def save(anchors: dict[str, Anchors], suite_version: str, path: Path = PATH) -> None:
    """Writes the anchors of all scenarios; they have the same seeds."""
    (seeds,) = {item.seeds for item in anchors.values()}
    value = {
        "schema_version": _SCHEMA,
        "suite_version": suite_version,
        "split": "test",
        "random": list(RANDOM),
        "reference": list(REFERENCE),
        "seeds": seeds,
        "scenarios": {
            name: {
                "version": item.version,
                "utilisation": item.utilisation,
                "random": item.random.tolist(),
                "reference": item.reference.tolist(),
            }
            for name, item in anchors.items()
        },
    }
    _atomic.write(path, files.to_text(value))
    load.cache_clear()
