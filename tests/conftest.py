"""Settings for all tests."""

import os

# Small matrix products are slower on several threads, and far slower where other work takes the cores. Read by NumPy's import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from hypothesis import settings

# Machines that run tests are shared, so how long one example takes says nothing.
settings.register_profile("chainrule", deadline=None)
settings.load_profile("chainrule")
