"""What a learned router looks at, what it does differently, and what is left of it as a rule.

python -m studies.router_looks                                    # all parts, fifteen minutes of one core
python -m studies.router_looks --part importance --seeds 1
python -m studies.router_looks --network mine.npz --part map      # a picture, in --out (extra "plot")

importance  J when a feature is what it was in another decision, over J
agreement   decisions that rules would have taken, too, and where they differ
map         whether a worker is chosen, by hit and load
rule        its decisions as a formula, and what that comes to on the ranked scenarios (needs torch)

Plays validation seeds, but for the scores of the rule, which are beside the frozen frontiers of the test seeds.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kvgym import _check, _command

PARTS = ("importance", "agreement", "map", "rule")


def main(argv: list[str] | None = None) -> None:
    """Prints the parts that are asked for."""
    parser = _command.parser("studies.router_looks", __doc__)
    parser.add_argument("--network", default="router", help="a name, or a file of agents.learned.ship (router)")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS, help="which (all)")
    parser.add_argument("--seeds", type=int, default=3, help="episodes of each scenario (3)")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of the picture (docs/images)")
    given = parser.parse_args(argv)
    try:
        n = _check.whole("--seeds", given.seeds, 1)
        for part in given.part:
            print(f"\n{part}\n\n{_part(part, given.network, n, given.out)}", flush=True)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"studies.router_looks: {error}")


def _part(part: str, network: str, n: int, out: Path) -> str:
    # Only what is asked for is imported: numba, torch and matplotlib are not for all of it.
    if part == "importance":
        from .looks import importance

        return importance(network, range(1000, 1000 + n))
    if part == "agreement":
        from .differs import agreement

        return agreement(network, range(1000, 1000 + n))
    if part == "map":
        from .picture import draw

        return str(draw(network, out))
    from .formula import scores

    return scores(network, range(n))


if __name__ == "__main__":
    main()
