"""Experiments behind figures of README and docs, each a command: `python -m studies.NAME`."""
