"""The leaderboard as one HTML page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files as resources
from typing import Any

from kvgym.evaluation import files


def page(values: Mapping[str, Any]) -> str:
    """One HTML file.

    Args:
        values: Those of `kvgym.evaluation.plain.as_dict`.
    """
    folder = resources("kvgym.evaluation")
    parts = {name: (folder / f"page.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    plain = json.loads(files.to_text(values))
    # Names are anybody's, and "</script>" would end the element that holds them.
    data = json.dumps(plain, separators=(",", ":")).replace("<", "\\u003c")
    text = parts["html"]
    # What is put in last may hold the marks of the others.
    for mark, part in (("/*CSS*/", parts["css"]), ("/*JS*/", parts["js"]), ("/*DATA*/", data)):
        text = text.replace(mark, part, 1)
    return text
