"""Ships a trained router or evictor: its weights as plain arrays, and its model card with scores on the test seeds.

    python -m agents.learned.ship RUN/policy.pt router [--seeds 10] [--out FOLDER]
    python -m agents.learned.ship RUN/evictor.npz evictor

What is played for the card say `agents.learned.router_card` and `agents.learned.evictor_card`. Writes NAME.npz and
NAME.md. Needs torch, to read the file of a router.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from kvgym import _atomic, _check, _command

from . import evictor_card, leaf_scorer, pretrained, router_card


def read(path: Path) -> pretrained.Shipped:
    """The network of a trained file.

    Raises:
        ValueError: If it is not one that routes alone.
        OSError: If it can't be read.
    """
    from . import file
    from .network import Shape

    trained = file.read(path)
    shape = trained.actor.shape
    if shape != Shape(width=shape.width, fetches=shape.fetches, corrects=shape.corrects):
        raise ValueError(f"{path}: a shipped network routes and does nothing else, this one has {shape}")
    weights = {name: weight.numpy() for name, weight in trained.actor.state_dict().items()}
    return pretrained.Shipped(weights, {**trained.origin, "env_kwargs": dict(trained.env_kwargs)})


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("agents.learned.ship", __doc__)
    parser.add_argument("file", type=Path, help="the trained file: .pt of a router, .npz of an evictor")
    parser.add_argument("name", help="of the network")
    parser.add_argument("--seeds", type=int, default=10, help="test seeds (10)")
    parser.add_argument("--scenario", nargs="+", metavar="NAME", help="those of the card (all with a frontier)")
    parser.add_argument("--out", type=Path, default=pretrained.FOLDER, help="folder (that of the suite)")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Ships as the command line says."""
    given: Any = make_parser().parse_args(argv)
    try:
        seeds = range(_check.whole("--seeds", given.seeds, 1))
        names = [_check.choice("--scenario", name, router_card.NAMES) for name in given.scenario or router_card.NAMES]
        place = given.out / f"{given.name}.npz"
        if given.file.suffix == ".npz":
            scorer = leaf_scorer.read(given.file)
            scorer.save(place)
            card = evictor_card.card(given.name, scorer, evictor_card.play_all(scorer, names, seeds))
        else:
            shipped = read(given.file)
            pretrained.write(place, shipped)
            card = router_card.card(given.name, shipped, router_card.play_all(shipped, names, seeds))
        _atomic.write(place.with_suffix(".md"), card)
    except (ValueError, OSError) as error:
        sys.exit(f"agents.learned.ship: {error}")


if __name__ == "__main__":
    main()
