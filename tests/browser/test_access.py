"""Whoever reads, points or types: every state of the gallery is measured, also new ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.gallery import resize, show, states

RULES: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"runOnly": ["color-contrast"]},
    "contrast": {"runOnly": ["color-contrast"]},
}
"""What axe checks: everything in the light, and again what depends on colours.

High contrast is like dark, only stronger, so a sample of the states is enough.
"""
WIDTHS_PX = {"light": 930, "dark": 330, "contrast": 330}
START_AUDIT = """([theme, options]) => {
  window.audit = (async () => {
    const found = [];
    const every = theme === "contrast" ? 4 : 1;
    for (const state of gallery.states.filter((_, at) => at % every === 0)) {
      await gallery.show(state, theme);
      const { violations } = await axe.run(".mw", options);
      for (const { id, impact, nodes } of violations)
        found.push(`${state}: ${id} (${impact}): ${nodes[0].html.slice(0, 200)}`);
    }
    return found;
  })();
}"""
FOCUSABLE = "button, a[href], input, select, textarea, summary, tr[tabindex], [tabindex='0']"
MEASURE = """(focusable) => {
  const view = document.querySelector(".mw");
  const found = new Set();
  const say = (what, element) => found.add(
    `${what}: ${element.className || element.tagName} ${element.textContent.slice(0, 30)}`);
  const shown = (element) =>
    element.checkVisibility() && !element.closest(".mw-spoken, [aria-hidden]");
  if (document.documentElement.scrollWidth > innerWidth) say("wider than the page", view);
  const wide = (element) => element.scrollWidth > element.clientWidth + 1;
  for (const element of view.querySelectorAll("*"))
    if (getComputedStyle(element).overflowX === "auto" && wide(element) && shown(element))
      if (!element.querySelector("table") && element.tagName !== "PRE")
        say("scrolls sideways", element);
  for (const element of view.querySelectorAll(focusable)) {
    if (!shown(element)) continue;
    element.focus({ focusVisible: true });
    const target = (element.closest("label") ?? element).getBoundingClientRect();
    const toScale = element.matches(".mw-piece"); // as wide as its share of the disk
    if ((target.width < 23.9 && !toScale) || target.height < 23.9)
      say(`smaller than 24 px (${target.width} x ${target.height})`, element);
    const style = getComputedStyle(element);
    const [width, offset] = [parseFloat(style.outlineWidth), parseFloat(style.outlineOffset)];
    if (style.outlineStyle === "none" || width < 2) say("no ring", element);
    const box = element.getBoundingClientRect();
    const grown = Math.max(0, width + offset) - 1;
    let sideways = true; // rows are as wide as what scrolls
    for (let outer = element.parentElement; outer !== document.body; outer = outer.parentElement) {
      if (getComputedStyle(outer).overflow === "visible") continue;
      const edge = outer.getBoundingClientRect();
      const lost = [edge.top - box.top, box.bottom - edge.bottom];
      if (wide(outer) && box.width > edge.width - 1) sideways = false;
      if (sideways) lost.push(edge.left - box.left, box.right - edge.right);
      if (Math.max(...lost) + grown > 0) say(`its ring is cut off by ${outer.className}`, element);
    }
  }
  return [...found];
}"""
WATCH_SPEECH = """() => {
  window.spoken = [];
  const live = document.querySelector("[role=log]");
  const options = { childList: true, characterData: true, subtree: true };
  new MutationObserver(() => spoken.push(live.textContent)).observe(live, options);
}"""
MOVING = """() => document.getAnimations().filter((animation) => animation.playState === "running")
  .map((animation) => animation.effect.target.className)"""


@contextmanager
def gallery(browser: Browser, address: str, **context: Any) -> Iterator[Page]:
    """The gallery in a profile of its own."""
    profile = browser.new_context(**context)
    page = profile.new_page()
    page.goto(address)
    yield page
    profile.close()


@pytest.mark.timeout(300)  # 20 s on two idle cores
def test_no_state_has_a_barrier(gallery_browser: Browser, gallery_address: str) -> None:
    """axe finds nothing, in light, dark and high contrast, wide and narrow."""
    with (
        gallery(gallery_browser, gallery_address) as light,
        gallery(gallery_browser, gallery_address) as dark,
        gallery(gallery_browser, gallery_address) as contrast,
    ):
        audits = {"light": light, "dark": dark, "contrast": contrast}
        for theme, page in audits.items():  # side by side, for an audit takes its time
            resize(page, WIDTHS_PX[theme])
            page.evaluate(Axe().axe_script)
            options = {"preload": False, "resultTypes": ["violations"], **RULES[theme]}
            page.evaluate(START_AUDIT, [theme, options])
        found = {theme: page.evaluate("audit") for theme, page in audits.items()}

    assert found == {"light": [], "dark": [], "contrast": []}


@pytest.mark.parametrize("width_px", [320, 621, 930])
def test_everything_has_room_and_shows_its_focus(page: Page, width_px: int) -> None:
    """Only tables and code scroll sideways; what takes the focus is 24 px large, its ring whole."""
    resize(page, width_px)

    found = []
    for state in states(page):
        page.evaluate("(state) => gallery.show(state, 'light')", state)
        found += [f"{state}: {what}" for what in page.evaluate(MEASURE, FOCUSABLE)]

    assert found == []


def test_a_screen_reader_hears_the_milestones_of_a_pull_and_no_ticks(page: Page) -> None:
    """Of 100 steps it hears the quarters, and what goes wrong."""
    show(page, "part-pulls")
    page.evaluate(WATCH_SPEECH)

    page.evaluate(
        """async () => {
          const { host } = gallery;
          const change = async (fields) => {
            host.set("pulls", host.get("pulls").map((pull) =>
              pull.name === "qwen2.5-coder:14b" ? { ...pull, ...fields } : pull));
            await new Promise((done) => setTimeout(done));
          };
          await change({ completed_bytes: 0, total_bytes: 100 });
          for (let tick = 1; tick < 100; tick++) await change({ completed_bytes: tick });
          await change({ completed_bytes: 100, phase: "verifying" });
        }"""
    )
    page.wait_for_function("spoken.some((words) => words.includes('erifying'))")

    spoken = [words for words in page.evaluate("spoken") if words]
    assert [words.rpartition(" ")[2] for words in spoken] == ["25.0%", "50.0%", "75.0%", "100.0%"]
    assert all(words.startswith("qwen2.5-coder:14b: ") for words in spoken)


def test_the_focus_of_what_goes_stays_in_the_view(page: Page) -> None:
    """What comes in its place has it; focus that was elsewhere is left there."""
    show(page, "installed-with-pulls")
    page.get_by_role("button", name="Stop: qwen2.5-coder:14b").last.focus()

    page.evaluate("gallery.host.set('pulls', [])")

    page.wait_for_function("document.querySelector('.mw').contains(document.activeElement)")
    page.evaluate("document.activeElement.blur()")
    page.evaluate("gallery.host.set('installed', {...gallery.host.get('installed'), models: []})")
    assert page.evaluate("document.activeElement === document.body")


def test_nothing_moves_where_motion_is_not_wanted(
    gallery_browser: Browser, gallery_address: str
) -> None:
    """Bars and arrows stand still; elsewhere they move."""
    moving = {}
    for wanted in ("no-preference", "reduce"):
        with gallery(gallery_browser, gallery_address, reduced_motion=wanted) as page:
            show(page, "pulls")
            moving[wanted] = page.evaluate(MOVING)

    assert moving["no-preference"] != []
    assert moving["reduce"] == []


def test_forced_colours_leave_states_and_focus_visible(
    gallery_browser: Browser, gallery_address: str
) -> None:
    """Where the system takes all colours, bars are filled and the chosen tab is told by weight."""
    with gallery(
        gallery_browser, gallery_address, forced_colors="active", color_scheme="dark"
    ) as page:
        show(page, "part-pulls", theme="none")
        bars = page.evaluate(
            "[...document.querySelectorAll('[role=progressbar]')].map((bar) => {"
            " const fill = bar.firstElementChild ?? bar;"
            " return getComputedStyle(fill).backgroundColor"
            " !== getComputedStyle(document.querySelector('.mw')).backgroundColor })"
        )
        show(page, "installed", theme="none")
        tab = page.get_by_role("tab", selected=True)
        expect(tab).to_have_css("font-weight", "600")

    assert bars != []
    assert all(bars)
