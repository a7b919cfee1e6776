"""Machine code kept on disk, so that the second run of a program starts at once.

A file holds a digest and the object code. Its name is a digest of all that the code depends on: the kernels and where their
buffers lie, the processor, LLVM's version, and this package's own source. A broken file is ignored and written anew; files are
put in place whole, so that any number of processes may read and write at the same time.

The folder is `CHAINRULE_CACHE`, or else chainrule/native in the user's cache folder; `CHAINRULE_CACHE=off` keeps nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from functools import cache
from pathlib import Path

import llvmlite

from chainrule.backends.native.lower import Plan
from chainrule.backends.native.target import Target

_MAGIC = b"chainrule object 1\n"
_DIGEST_BYTES = 32
_MOST_FILES = 500


def folder() -> Path | None:
    """Where code is kept; None for nowhere."""
    chosen = os.environ.get("CHAINRULE_CACHE", "")
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "chainrule" / "native"


def key(plan: Plan, target: Target) -> str:
    """The name of a plan's code."""
    digest = hashlib.sha256()
    leaves = [[(n.shape, n.dtype) for n in part] for part in (plan.graph.inputs, plan.graph.state, plan.graph.outputs)]
    for part in (_source(), llvmlite.__version__, target, leaves, len(plan.constants), plan.first_writer, plan.threads):
        digest.update(repr(part).encode())
    for step in plan.steps:
        digest.update(repr((step.kernel, step.parallel, [(b.place, b.number) for b in step.buffers])).encode())
    return digest.hexdigest()


@cache
def _source() -> str:
    """Digest of this package, which makes the code."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def load(name: str) -> bytes | None:
    """The code of that name, if it is there and whole."""
    place = folder()
    if place is None:
        return None
    try:
        data = (place / name).read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST_BYTES
    code = data[start:]
    whole = data[:start] == _MAGIC + hashlib.sha256(code).digest()
    return code if whole else None


def save(name: str, code: bytes) -> None:
    """Keep code under a name. Where that is not possible (a full disk, no permission) nothing happens."""
    place = folder()
    if place is None:
        return
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=place, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + hashlib.sha256(code).digest() + code)
            Path(temporary).replace(place / name)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
        _drop_oldest(place)


def _drop_oldest(place: Path) -> None:
    files = [p for p in place.iterdir() if p.is_file()]
    if len(files) > _MOST_FILES:
        for path in sorted(files, key=lambda p: p.stat().st_mtime)[: len(files) - _MOST_FILES]:
            path.unlink(missing_ok=True)
