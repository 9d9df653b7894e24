"""Trains and scores a table of learned baselines: `python -m agents.zoo`.

table      its rows: algorithm, environment, scenarios (`table.toml`)
training   a run per row and training seed, by `agents.train`
scoring    a leaderboard per row
curves     J while training, over the training seeds
page       all of it as JSON and Markdown
"""
