"""Draws the pictures that pages show, from the states of the gallery.

    python -m tests.browser.pictures OUT_DIR       those of the site, in light and dark
    python -m tests.browser.pictures --readme      those of the README

A page asks for a state by the name of its picture, `pictures/installed.png`, so no list is kept.
Git holds only the README's pictures, and their words beside them: where a view has come to say
something else, drawing the site's pictures fails until the README's are drawn again.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.gallery import THEMES, build_gallery, open_browser, show

DOCS = Path(__file__).parents[2] / "docs"
README_STATES = {"manager": "installed-with-pulls", "fit": "fit-partial"}
"""Of each picture the state that it shows."""
README_WIDTH_PX = 930
SITE_WIDTH_PX = 860
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PICTURE = re.compile(r"\(\S*pictures/([\w-]+)\.png")


def asked_for() -> list[str]:
    """The states whose pictures the pages of the site show."""
    pages = (path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))
    return sorted({state for text in pages for state in PICTURE.findall(text)})


def draw_site(out: Path) -> int:
    """Draw what the pages ask for, as sharp as on a screen of today; how many pictures that is."""
    states = asked_for()
    with _gallery(sharpness=2) as page:
        for theme in THEMES:
            for state in states:
                show(page, state, theme=theme, width_px=SITE_WIDTH_PX)
                page.locator("body > div").screenshot(path=out / theme / f"{state}.png")
        for picture, state in README_STATES.items():
            if _words(page, state) != (DOCS / f"{picture}.txt").read_text(encoding="utf-8"):
                raise SystemExit(f"{picture}.png shows what is no more: run `make pictures`.")
    return len(states) * len(THEMES)


def draw_readme() -> None:
    """Draw the README's pictures and write down their words."""
    with _gallery(sharpness=1) as page:
        for picture, state in README_STATES.items():
            (DOCS / f"{picture}.txt").write_text(_words(page, state), encoding="utf-8")
            page.screenshot(path=DOCS / f"{picture}.png", full_page=True)


@contextmanager
def _gallery(*, sharpness: float) -> Iterator[Page]:
    """The gallery where it is always the same noon."""
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        page = browser.new_page(
            device_scale_factor=sharpness, locale="en-US", timezone_id="UTC", color_scheme="light"
        )
        page.clock.set_fixed_time(NOON)
        page.goto(build_gallery(Path(folder)))
        yield page


def _words(page: Page, state: str) -> str:
    """What a picture of the README says, which no font or screen changes."""
    show(page, state, width_px=README_WIDTH_PX)
    lines = (" ".join(line.split()) for line in page.inner_text("body").splitlines())
    return "".join(f"{line}\n" for line in lines if line)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--readme"]:
            draw_readme()
            print(f"Drawn: {', '.join(README_STATES)}")
        case [out_dir]:
            print(f"{draw_site(Path(out_dir))} pictures in {out_dir}")
        case _:
            sys.exit("usage: python -m tests.browser.pictures OUT_DIR | --readme")
