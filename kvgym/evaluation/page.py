"""The leaderboard as one HTML page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kvgym import _page
from kvgym.evaluation import files


def page(values: Mapping[str, Any]) -> str:
    """One HTML file.

    Args:
        values: Those of `kvgym.evaluation.plain.as_dict`.
    """
    plain = json.loads(files.to_text(values))
    return _page.filled("kvgym.evaluation", json.dumps(plain, separators=(",", ":")).replace("<", "\\u003c"))
