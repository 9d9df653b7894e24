"""The film at the top of the README: random routing with LRU above LBGR with RLT, on the same arrivals.

    python -m studies.side_by_side [--out docs/media/lbgr_beside_random.gif] [--seed 0]

Plays an episode of gsp-stable with each and shows both at the same simulated times. Needs the extras `render` and
`plot` (Pillow).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from tqdm import tqdm

from agents import make_agent
from kvgym import _atomic, _command
from kvgym._check import whole
from kvgym.envs.picture import Painter, Picture
from kvgym.evaluation.episode import record

SCENARIO = "gsp-stable"
RIVALS = (("random router, LRU", "random", "lru"), ("LBGR + RLT", "lbgr_code", "rlt_code"))
"""Title, router and evictor."""
FRAMES, FRAME_MS, SIMULATED_S = 100, 100, 1.5
GAP = 8


def film(title: str, agent: str, evictor: str, seed: int, frames: int = FRAMES) -> tuple[list[Picture], float]:
    """Pictures at the first decision after every `SIMULATED_S` seconds, and when the first one is due (s)."""
    actions = record(make_agent(agent), SCENARIO, seed, evictor=evictor).actions
    env: Any = gym.make("kvgym:KVGym/Route-v0", scenario=SCENARIO, evictor=evictor, split="test").unwrapped
    _, info = env.reset(seed=seed)
    painter, begin = Painter(None, 1), info["time"]
    pictures: list[Picture] = []
    for action in actions:
        if info["time"] >= begin + SIMULATED_S * len(pictures):
            pictures.append(painter.draw(env.simulator, title))
        if len(pictures) == frames:
            break
        info = env.step(action)[4]
    return pictures, begin


def save(pictures: list[Picture], path: Path) -> None:
    """Writes a GIF that repeats itself; all pictures have one palette, so that what stays the same takes no room."""
    from PIL import Image

    first = Image.fromarray(pictures[-1]).quantize(64, dither=Image.Dither.NONE)
    images = [Image.fromarray(one).quantize(palette=first, dither=Image.Dither.NONE) for one in pictures]
    with _atomic.replacing(path) as temporary:
        images[0].save(
            temporary, "GIF", save_all=True, append_images=images[1:], duration=FRAME_MS, loop=0, optimize=True
        )


def main(argv: list[str] | None = None) -> None:
    """Plays and writes."""
    parser = _command.parser("studies.side_by_side", __doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/media/lbgr_beside_random.gif"), help="the file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the arrivals")
    args = parser.parse_args(argv)
    try:
        seed = whole("--seed", args.seed, 0)
    except ValueError as error:
        parser.error(str(error))
    films = [film(*rival, seed)[0] for rival in tqdm(RIVALS, unit="episode", file=sys.stderr)]
    gap = np.full((GAP, films[0][0].shape[1], 3), films[0][0][0, 0], np.uint8)
    save([np.concatenate([above, gap, below]) for above, below in zip(*films, strict=True)], args.out)
    print(f"{args.out}: {len(films[0])} pictures, {args.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    _command.run(main)
