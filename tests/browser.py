"""A page as a headless browser shows it."""

from __future__ import annotations

import html
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--v=0",
)  # fmt: skip


def opened(page: str, folder: Path) -> tuple[str, str]:
    """A frame around the page as the browser has it, titled with what the page found out; and what the browser said.

    A window of Chromium is at least 500 wide, so the page stands in a frame of a phone's width.
    """
    file = folder / "page.html"
    # The page measures its own formulas and writes what it asked for from outside; the script is added for the test only.
    probe = (
        "<script>addEventListener('load', () => { const r = document.querySelector('math')?.getBoundingClientRect();"
        "parent.document.title = [performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length,"
        "Math.round(r?.width ?? 0), document.documentElement.scrollWidth <= document.documentElement.clientWidth]"
        ".join('|'); })</script>"
    )
    inside = html.escape(page.replace("</head>", f"{probe}</head>") if "</head>" in page else page + probe)
    frame = f'<iframe width="375" height="800" style="border: 0" srcdoc="{inside}"></iframe>'
    file.write_text(f"<!doctype html><meta charset='utf-8'><title></title>{frame}", encoding="utf-8")
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", file.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=500, check=True)
    return result.stdout, result.stderr
