"""Episodes of agents as datasets for those who learn from logs: `python -m agents.record --help`, docs/datasets.md."""
