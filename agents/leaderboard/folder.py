"""What a folder of results holds beside its episodes."""

from __future__ import annotations

import secrets
from pathlib import Path

from kvgym import _atomic


def salt(folder: Path | None) -> str:
    """The salt of a run (`kvgym.evaluation.remote.agent_seed`): drawn once, and kept where the run is kept."""
    place = folder / "salt" if folder else None
    if place and place.is_file():
        return place.read_text(encoding="utf-8").strip()
    drawn = secrets.token_hex(16)
    if place:
        place.parent.mkdir(parents=True, exist_ok=True)
        _atomic.write(place, drawn + "\n")
    return drawn
