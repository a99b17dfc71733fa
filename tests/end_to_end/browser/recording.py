"""The pictures of README and docs: the real page on the real server, while somebody trades in a second terminal.

    .venv/bin/python -m tests.end_to_end.browser.recording

It starts `manage.py up` with simulated prices in a temporary folder, logs in as the demo user, runs TYPED in a second
process and writes what the page shows to docs/images/. Only the terminal at the bottom is drawn by this script, with
the lines that run. Needs a browser, and img2webp (Debian: apt install webp).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from testbed.processes import ROOT
from tests.end_to_end.browser.chromium import ARGUMENTS, NO_BROWSER, find_browser
from tests.end_to_end.browser.windows import Window

MOVING = ROOT / "docs/images/dashboard.webp"
STILL = ROOT / "docs/images/details.png"
OVERVIEW = ROOT / "docs/images/overview.png"
PORT = 4123
WIDTH, HEIGHT = 1280, 900
SCALE = 0.75
FRAME_SECONDS = 0.125
AGENT = "Dip buyer (simulation)"

PREPARED = """
import sys
from decimal import Decimal
from positions.models import Position
from positions.services import buy_more, close_position
position = Position.objects.open().get(token_symbol="WIF", wallet__agent__name="Dip buyer")
for line in sys.stdin:
    exec(line)
"""
TYPED = [
    'buy_more(position_id=position.pk, tokens=Decimal(250), spent_sol=Decimal("1.05"))',
    'close_position(position_id=position.pk, proceeds_sol=Decimal("1.96"), reason="take profit")',
]
KEYS_A_FRAME = 5

TERMINAL = """() => {
    const terminal = document.createElement("pre");
    terminal.id = "terminal";
    Object.assign(terminal.style, {
        position: "fixed", inset: "auto 0 0 0", height: "104px", margin: "0", padding: "12px 24px", zIndex: "99",
        boxSizing: "border-box", background: "#10151f", color: "#dbe4f0", font: "17px/27px monospace",
    });
    document.body.append(terminal);
}"""


def main() -> None:
    browser_path = find_browser()
    if browser_path is None:
        raise SystemExit(NO_BROWSER)
    if shutil.which("img2webp") is None:
        raise SystemExit("img2webp was not found (Debian: apt install webp).")
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder) / "data") as environment,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE, color_scheme="light"
        )
        window = Window(page, f"http://127.0.0.1:{PORT}/").log_in_by_form("demo", password="demo")
        expect(window.by_id("agent-row").first).to_be_visible()
        page.wait_for_timeout(6_000)  # today begins with its first prices
        page.screenshot(path=OVERVIEW)
        window.choose(AGENT)
        window.expect_state("live")
        page.wait_for_timeout(15_000)  # a line needs some prices
        assemble(record(window, environment, Path(folder)))
        page.locator("#terminal").evaluate("terminal => terminal.remove()")
        show_details(window)
        browser.close()


@contextlib.contextmanager
def running(data: Path) -> Iterator[dict[str, str]]:
    """Run `manage.py up`; yield the environment in which a second terminal finds it."""
    foreign = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    environment["NEXGENT_DATA_DIR"] = str(data)
    command = ["manage.py", "up", "--port", str(PORT), "--source", "simulated", "--interval", "1"]
    up = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert up.stdout
        if not any("Nexgent is up." in line for line in up.stdout):
            raise SystemExit("`manage.py up` did not start.")
        yield environment
    finally:
        up.terminate()
        up.wait(30)


def record(window: Window, environment: dict[str, str], folder: Path) -> list[Path]:
    """Return the frames, in order."""
    window.page.evaluate(TERMINAL)
    window.page.mouse.move(0, HEIGHT / 2)
    frames: list[Path] = []
    lines = ["$ manage.py shell   # in a second terminal", ""]

    def frame() -> None:
        due = time.monotonic() + FRAME_SECONDS
        text = "\n".join(lines[-3:])
        window.page.locator("#terminal").evaluate(
            "(terminal, text) => { terminal.textContent = text; }", text
        )
        frames.append(folder / f"{len(frames):04}.png")
        window.page.screenshot(path=frames[-1])
        window.page.wait_for_timeout(max(0.0, 1000 * (due - time.monotonic())))

    def watch(seconds: float) -> None:
        for _ in range(round(seconds / FRAME_SECONDS)):
            frame()

    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", PREPARED]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, text=True) as shell:
        assert shell.stdin
        lines[-1] = ">>> "
        watch(3)
        for line in TYPED:
            for end in range(0, len(line), KEYS_A_FRAME):
                lines[-1] = f">>> {line[: end + KEYS_A_FRAME]}"
                frame()
            watch(0.5)
            print(line, file=shell.stdin, flush=True)
            lines.append(">>> ")
            watch(4)
    return frames


def assemble(frames: list[Path]) -> None:
    """Write the frames as one animated WebP."""
    milliseconds = str(round(1000 * FRAME_SECONDS))
    options = ["-loop", "0", "-min_size", "-d", milliseconds, "-lossless", "-m", "4"]
    subprocess.run(["img2webp", *options, *map(str, frames), "-o", str(MOVING)], check=True)


def show_details(window: Window) -> None:
    """Write the still picture: a position's details, in the dark theme."""
    window.page.emulate_media(color_scheme="dark")
    window.choose("Momentum (live)")
    window.page.wait_for_timeout(15_000)
    window.rows().first.click()
    expect(window.by_id("details")).to_be_visible()
    window.page.wait_for_timeout(1_000)
    window.page.screenshot(path=STILL)


if __name__ == "__main__":
    main()
