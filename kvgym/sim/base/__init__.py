"""Tables and what everybody needs of them. Kernels are imported lazily (numba takes 0.3 s).

Every kernel takes the simulator ``s`` (see ``access.py``), usually a worker index ``w`` and often a request index
``q``; a row of the cache is ``r``, a node of the prefix tree ``v``. A worker's row in a table is called ``wk``, a
request's row in the progress table ``status``.
"""
