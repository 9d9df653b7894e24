"""The theory behind RLT, measured: `python -m studies.theory`."""
