"""The fit card in a real browser, on the gallery's fake host: by keyboard and mouse."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.gallery import calls, focused, show


def test_the_slider_answers_to_keys_and_asks_nobody(page: Page) -> None:
    """Each step shows another context and other numbers; the kernel hears nothing of it."""
    show(page, "fit-full")
    slider = page.get_by_role("slider", name="Context")
    cache = page.get_by_role("row", name=re.compile("^KV cache"))
    before = cache.inner_text()
    slider.focus()

    page.keyboard.press("ArrowRight")

    expect(page.locator(".mw-fit-tokens")).to_have_text("40,960 tokens")
    assert (slider.get_attribute("aria-valuetext") or "").startswith("40,960 tokens: full GPU")
    assert cache.inner_text() != before
    page.keyboard.press("Home")
    expect(page.locator(".mw-fit-tokens")).to_have_text("2,048 tokens")
    assert focused(page) != "llama3.2:3b"
    assert len(calls(page, "fit_card")) == 1


def test_cache_and_requests_are_chosen_with_the_mouse(page: Page) -> None:
    """A smaller cache needs less; more requests at a time need more."""
    show(page, "fit-full")
    cache = page.get_by_role("row", name=re.compile("^KV cache"))
    expect(cache).to_contain_text("3.5 GiB")

    page.get_by_label("KV cache as").select_option("q8_0")
    expect(cache).to_contain_text("1.9 GiB")
    page.get_by_label("Requests at a time").select_option("4")
    expect(cache).to_contain_text("7.4 GiB")

    page.get_by_role("slider", name="Context").fill("0")
    expect(cache).to_contain_text("0.5 GiB")


def test_suggestions_are_tried_or_pulled(page: Page) -> None:
    """A setting moves the slider; another quantization is pulled under its whole name."""
    show(page, "fit-partial")

    page.get_by_role("button", name=re.compile("^Context of 2,048")).click()
    expect(page.locator(".mw-fit-tokens")).to_have_text("2,048 tokens")
    page.get_by_role("button", name=re.compile("^Pull .*q3_K_M instead")).click()

    assert calls(page, "pull") == [{"name": "qwen3:32b-q3_K_M"}]


def test_pulling_what_does_not_fit_asks_first(page: Page) -> None:
    """The question has the focus and the numbers; only its answer pulls."""
    show(page, "fit-pull-asks")
    question = page.get_by_role("group", name="Confirm pulling llama3.1:405b")

    expect(question).to_be_focused()
    expect(question).to_contain_text("does not fit: this machine has 16.8 GiB on GPUs")
    question.get_by_role("button", name="Cancel").click()
    expect(question).to_have_count(0)
    assert calls(page, "pull") == []
    page.get_by_role("button", name="Pull: llama3.1:405b").click()
    page.get_by_role("button", name="Pull all the same").click()

    assert calls(page, "pull") == [{"name": "llama3.1:405b"}]


def test_pulling_many_asks_for_those_that_do_not_fit(page: Page) -> None:
    """One question names them; its answer pulls all that were marked."""
    show(page, "fit-bulk-asks")
    question = page.get_by_role("group", name="Confirm pulling llama3.1:8b")

    expect(question).to_contain_text("llama3.1:8b needs about 61.0 GiB")
    assert calls(page, "pull") == []
    question.get_by_role("button", name="Pull all the same").click()

    expect(question).to_have_count(0)
    assert [call["name"].split(":")[0] for call in calls(page, "pull")] == ["gemma3", "llama3.1"]


def test_what_fits_is_found_and_sorted(page: Page) -> None:
    """The search knows the marks of the rows, and a click on the title orders by them."""
    show(page, "fit-installed")
    whole = page.locator(".mw-row .mw-fit-full").count()
    assert 0 < whole < page.locator(".mw-row").count()
    page.get_by_role("combobox").fill("NOT fits")
    expect(page.locator(".mw-row .mw-fit-full")).to_have_count(0)
    page.get_by_role("combobox").fill("fits")
    expect(page.locator(".mw-row")).to_have_count(whole)
    page.get_by_role("combobox").fill("")

    page.get_by_role("columnheader", name="Fits").get_by_role("button").click()

    expect(page.locator(".mw-row").first).to_contain_text("full GPU")
    order = ("full GPU", "experts in RAM", "41 of 65 layers", "CPU only", "does not fit")
    ranks = [order.index(text.strip()) for text in page.locator(".mw-fit").all_inner_texts()]
    assert ranks == sorted(ranks)
