"""The code of docs/workloads.md runs, in its order."""

import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "docs" / "workloads.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.+?)```", TEXT, re.DOTALL)


def test_the_code_runs():
    names = {}
    for block in BLOCKS:
        exec(block, names)
    assert len(BLOCKS) == 4
    assert names["observation"] in names["env"].observation_space
