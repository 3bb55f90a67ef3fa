"""The details of a model in a real browser: folds, copying, comparing by keyboard, narrow pages."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gallery import REFUSE_CLIPBOARD, calls, focused, show

COPIED = """() => {
  window.copied = [];
  navigator.clipboard.writeText = async (text) => { copied.push(text); };
}"""
SCROLLS = """(selector) => {
  const box = document.querySelector(selector);
  return box.scrollWidth > box.clientWidth;
}"""


def test_what_is_copied_is_whole(page: Page) -> None:
    """Of a digest twelve digits are shown and all are copied; of code and paths all."""
    show(page, "details-layers")
    page.evaluate(COPIED)

    page.get_by_role("button", name="Copy the full digest").first.click()
    page.get_by_role("button", name="Copy /home/ada/.ollama/models/manifests").click()
    page.get_by_text("Use it in code").click()
    page.get_by_role("button", name="curl").click()
    page.get_by_role("button", name="Copy the code for: curl").click()

    digest, path, code = page.evaluate("copied")
    assert len(digest) == 64
    assert page.get_by_text(digest[:12], exact=True).first.is_visible()
    assert path == "/home/ada/.ollama/models/manifests/registry.ollama.ai/library/gemma3/12b"
    assert code.startswith("curl http://localhost:11434/api/chat -d '")


def test_a_digest_is_copied_also_where_the_clipboard_is_refused(page: Page) -> None:
    """The old way of copying stands in, and gives the focus back."""
    show(page, "details-layers")
    page.evaluate(REFUSE_CLIPBOARD)

    page.get_by_role("button", name="Copy the full digest").first.click()

    expect(page.get_by_text("Copied")).to_be_visible()
    assert len(page.evaluate("copied")) == 64
    assert focused(page) == "Copy the full digest"


def test_a_long_licence_is_there_whole_and_scrolls(page: Page) -> None:
    """It is text to the last word, in a box that the keyboard reaches."""
    show(page, "details-licence")

    box = page.locator("pre.mw-verbatim")

    text = box.inner_text()
    assert text.startswith("Gemma Terms of Use")
    assert text.count("reproducing") == 40
    assert box.evaluate("box => box.scrollHeight > box.clientHeight && box.tabIndex === 0")


def test_a_comparison_by_keyboard(page: Page) -> None:
    """Opened, filled, and closed with Escape, which gives the focus back to its button."""
    show(page, "installed-details")
    page.get_by_role("button", name="Compare with…").focus()

    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("llama3.1:8b")
    page.keyboard.press("Enter")
    table = page.get_by_role("region", name="Side by side: gemma3:12b, llama3.1:8b")
    expect(table).to_be_focused()
    expect(table.get_by_role("columnheader", name="llama3.1:8b")).to_be_visible()
    page.keyboard.press("Escape")

    expect(table).to_have_count(0)
    assert focused(page) == "Compare with…"
    expect(page.get_by_role("region", name="Details: gemma3:12b")).to_be_visible()


def test_a_third_model_joins_and_leaves(page: Page) -> None:
    """From what else is like it; leaving one out keeps the others."""
    show(page, "family-alike")

    page.get_by_role("button", name="Compare with gemma3:4b").click()
    expect(page.get_by_role("columnheader", name="gemma3:4b")).to_be_visible()
    page.get_by_role("button", name="Leave out qwen3:8b").click()

    heads = page.locator(".mw-compare thead th").all_inner_texts()
    assert [head.split()[0] for head in heads] == ["Fact", "llama3.1:8b", "gemma3:4b"]


def test_only_what_differs_can_be_shown(page: Page) -> None:
    """Each row that is left says so in words, not by colour alone."""
    show(page, "details-compare")
    table = page.locator(".mw-compare tbody tr")
    every = table.count()

    page.get_by_label("Only what differs").check()

    some = table.count()
    assert 0 < some < every
    assert page.locator(".mw-compare tbody th", has_text="(differs)").count() == some


@pytest.mark.parametrize("width_px", [320, 930])
def test_wide_tables_scroll_inside_of_themselves(page: Page, width_px: int) -> None:
    """The page itself never scrolls sideways, and the titles of the rows stay in view."""
    show(page, "details-compare", width_px=width_px)

    box = page.locator(".mw-compare-scroll")
    box.evaluate("box => { box.scrollLeft = 10000 }")

    title = page.locator(".mw-compare tbody th").first.bounding_box()
    frame = box.bounding_box()
    assert title is not None
    assert frame is not None
    assert abs(title["x"] - frame["x"]) <= 2
    assert page.evaluate(SCROLLS, "body") is False
    assert width_px > 320 or page.evaluate(SCROLLS, ".mw-compare-scroll")


def test_details_that_failed_are_asked_for_again(page: Page) -> None:
    """The words of the error stand beside Try again, and what the list tells stays."""
    show(page, "installed-details-failed")
    before = len(calls(page, "details"))

    page.get_by_role("button", name="Try again").click()

    assert len(calls(page, "details")) == before + 1
    expect(page.get_by_role("alert")).to_contain_text("It was deleted meanwhile")
    expect(page.get_by_text("Google DeepMind")).to_be_visible()


def test_hostile_details_run_nothing(page: Page) -> None:
    """No element of a stranger's making, and nothing outside of the frame."""
    show(page, "details-hostile", width_px=330)

    assert page.locator(".mw script, .mw img, .mw b:text-is('Q4')").count() == 0
    assert page.evaluate(SCROLLS, "body") is False
