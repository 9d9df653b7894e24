"""The claims of arXiv 2601.18999 one by one, theirs and ours, and what it left open: `python -m studies.reproduce`."""

from .paper_table import Row, table1

__all__ = ["Row", "table1"]
