"""The processors that code can be made for, and run, here: best first."""

import os

from chainrule.backends.native import target

os.environ.pop("CHAINRULE_CPU", None)
LEVELS = {"avx512": ["avx512", "avx2", "sse2"], "avx2": ["avx2", "sse2"], "sse2": ["sse2"], "neon": ["neon"]}[
    target.host().level
]
