"""The search box in a real browser: completion by keyboard, mistakes, and what is left alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.gallery import focused, show


@pytest.fixture
def box(page: Page) -> Locator:
    show(page, "installed")
    found = page.get_by_role("combobox")
    found.focus()
    return found


def names(page: Page) -> list[str]:
    """The rows that the table shows."""
    return page.locator("[role=grid] [data-index] .mw-name").all_inner_texts()


def test_a_term_is_completed_by_keyboard_alone(page: Page, box: Locator) -> None:
    """Down and Enter take a key, then its value; the table follows, and the caret stands behind."""
    page.keyboard.type("vision qu")
    expect(page.get_by_role("option")).to_have_text(["quant: q4, q8_0", "quantization: q4, q8_0"])
    page.keyboard.press("ArrowDown")
    expect(box).to_have_attribute(
        "aria-activedescendant", page.get_by_role("option").first.get_attribute("id") or ""
    )
    page.keyboard.press("Enter")
    expect(box).to_have_value("vision quant:")
    page.keyboard.type("q4")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.type("-cloud")

    expect(box).to_have_value("vision quant:q4_k_m -cloud")
    expect(page.locator("[role=grid] [data-index]")).to_have_count(1)
    assert names(page) == ["gemma3:12b"]


def test_escape_closes_the_list_and_then_empties_the_box(page: Page, box: Locator) -> None:
    """One key for both, the nearer thing first."""
    page.keyboard.type("si")
    expect(page.get_by_role("listbox")).to_be_visible()

    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_have_count(0)
    expect(box).to_have_value("si")
    page.keyboard.press("Escape")
    expect(box).to_have_value("")


def test_down_lists_all_there_is_and_tab_leaves(page: Page, box: Locator) -> None:
    """Nothing opens by itself in an empty box; Tab goes on, and takes nothing."""
    expect(page.get_by_role("listbox")).to_have_count(0)
    page.keyboard.press("ArrowDown")
    assert page.get_by_role("option").count() > 20
    page.keyboard.press("ArrowDown")

    page.keyboard.press("Tab")

    expect(page.get_by_role("listbox")).to_have_count(0)
    expect(box).to_have_value("")
    assert not box.evaluate("(box) => box === document.activeElement")


def test_an_offer_can_be_clicked(page: Page, box: Locator) -> None:
    """The box keeps the focus, so that one can type on."""
    page.keyboard.type("vis")
    page.get_by_role("option", name="vision").click()

    expect(box).to_have_value("vision ")
    assert focused(page) == "Search installed models"
    assert names(page) == ["gemma3:12b"]


def test_typing_a_term_flashes_no_mistake(page: Page, box: Locator) -> None:
    """While a term grows the table goes by what stands before it; a pause makes it a mistake."""
    page.keyboard.type("vision ")
    for letter in "size<8":
        page.keyboard.type(letter)
        assert page.locator(".mw-search-problem").count() == 0
    assert names(page) == ["gemma3:12b"]

    expect(page.locator(".mw-search-problem")).to_contain_text("8 is no size.")
    expect(box).to_have_attribute("aria-invalid", "true")
    assert names(page) == ["gemma3:12b"]
    page.keyboard.type("GB")
    expect(page.locator(".mw-search-problem")).to_have_count(0)
    expect(page.locator("[role=grid] [data-index]")).to_have_count(0)


def test_a_mistake_is_mended_by_its_button(page: Page, box: Locator) -> None:
    """What was probably meant takes the place of what was typed."""
    page.keyboard.type("siez<8GB vision ")
    assert names(page)  # `siez` alone had found nothing; the rows of before stay
    page.get_by_role("button", name="Use size").click()

    expect(box).to_have_value("size<8GB vision ")
    expect(page.locator(".mw-search-problem")).to_have_count(0)


def test_what_is_not_known_is_said_and_the_filter_can_be_cleared(page: Page, box: Locator) -> None:
    """An empty result says why, and offers the way back."""
    page.evaluate("gallery.host.set('fits', null)")
    page.keyboard.type("fits ")
    expect(page.get_by_text("Not known for 7 models: fits. They are left out.")).to_be_visible()

    page.get_by_role("button", name="Clear filter").click()

    assert len(names(page)) == 7


def test_a_name_without_a_hit_can_still_be_looked_up(page: Page) -> None:
    """A full name is a search and a name at once."""
    show(page, "catalog")
    page.get_by_role("combobox").fill("hf.co/org/repo:Q4_K_M")

    expect(page.get_by_role("button", name="Look up hf.co/org/repo:Q4_K_M")).to_be_visible()


def test_the_list_fits_a_narrow_view(page: Page) -> None:
    """At 320 pixels nothing is wider than the view, list and mistake included."""
    show(page, "installed", width_px=320)
    page.get_by_role("combobox").press_sequentially("c")
    expect(page.get_by_role("listbox")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("combobox").fill("siez<" + "8" * 200 + " x")
    expect(page.locator(".mw-search-problem")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_closed_family_shows_the_sizes_that_were_found(page: Page) -> None:
    """The others come back with an empty search; where all match, nothing needs to be said."""
    show(page, "catalog")
    sizes = page.locator("[role=grid] .mw-sizes")

    page.get_by_role("combobox").fill("size<6GB qwen3")
    expect(sizes).to_have_text("0.6B8B4 of 8 match")
    page.get_by_role("combobox").fill("qwen3")
    expect(sizes).to_have_text("0.6B8B1.7B+5 more")
