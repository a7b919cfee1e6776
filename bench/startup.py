"""How long `import chainrule` takes beyond NumPy's own import, and how large an installation is.

    python -m bench.startup

Each import is timed in a fresh interpreter; the median of nine is printed, with the packages that came along.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

_PROGRAM = """
import sys, time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import chainrule
end = time.perf_counter()
candidates = "torch sklearn scipy pyarrow matplotlib PIL rich click llvmlite".split()
heavy = [m for m in candidates if m in sys.modules]
print(middle - start, end - middle, ",".join(heavy) or "none")
"""


def main() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(9)
    ]
    numpy_seconds, own_seconds = (statistics.median(float(run[k]) for run in runs) for k in (0, 1))
    print(f"numpy {numpy_seconds:.3f} s; chainrule after it {own_seconds:.3f} s; heavy packages imported: {runs[0][2]}")


if __name__ == "__main__":
    main()
