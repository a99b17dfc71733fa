"""The chromium that this machine has, and how it is started. May be imported without Django."""

from __future__ import annotations

import os
import shutil

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    # None is started ahead for a window that may come: a tenth of what a window costs.
    "--renderer-process-limit=1",
]
CANDIDATES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
NO_BROWSER = (
    "NO BROWSER: the tests of the page did not run. Install chromium-headless-shell (Debian), or name one in"
    " NEXGENT_BROWSER."
)


def find_browser() -> str | None:
    named = os.environ.get("NEXGENT_BROWSER")
    return named or next(filter(None, map(shutil.which, CANDIDATES)), None)
