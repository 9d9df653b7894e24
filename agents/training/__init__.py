"""How the learned agents come about; `python -m agents.train` starts here. Needs the extra "train"."""
