"""Compiled kernels of the simulator. Imported lazily (numba takes 0.3 s); start at ``events.py``.

Every kernel takes the simulator ``s`` (see ``access.py``), usually a worker index ``w`` and often a request index
``q``. A worker's row in a table is called ``wk``, a request's row in the progress table ``run``.
"""
