"""The fit card in a real browser: by keyboard and mouse, and against a real kernel."""

from __future__ import annotations

import json
import re

from playwright.async_api import expect as expect_soon
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenNotebook
from tests.browser.gallery import calls, focused, show
from tests.browser.test_quickstart import CHAT, SHOW, manager
from tests.model_server import ModelServer

ON_A_4090 = """
from modelwidgets import fitting, watch
from modelwidgets.memory.given import devices_from

machine = devices_from(["RTX 4090"], ram="48GiB")
fitting.local_devices = watch.local_devices = lambda url: machine
"""
REPORTS = """
import json
from modelwidgets import fit

for context, cache in ((None, "f16"), (2048, "f16"), (2048, "q8_0")):
    found = fit({name!r}, context_length=context, kv_cache_type=cache).result()
    terms = [[term.part, term.gpu, term.size_bytes] for term in found.terms]
    print(json.dumps([found.verdict, found.context_length, found.total_bytes, terms]))
"""
PARTS = {
    "weights": "Weights",
    "kv_cache": "KV cache",
    "recurrent_state": "Recurrent state",
    "compute": "Compute",
    "output": "Output",
    "overhead": "Overhead of the program",
}


def test_the_slider_answers_to_keys_and_asks_nobody(page: Page) -> None:
    """Each step shows another context and other numbers; the kernel hears nothing of it."""
    show(page, "fit-full")
    slider = page.get_by_role("slider", name="Context")
    cache = page.get_by_role("row", name=re.compile("^KV cache"))
    before = cache.inner_text()
    slider.focus()

    page.keyboard.press("ArrowRight")

    expect(page.locator("output")).to_have_text("40,960 tokens")
    assert (slider.get_attribute("aria-valuetext") or "").startswith("40,960 tokens: full GPU")
    assert cache.inner_text() != before
    page.keyboard.press("Home")
    expect(page.locator("output")).to_have_text("2,048 tokens")
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
    expect(page.locator("output")).to_have_text("2,048 tokens")
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


def test_what_fits_is_found_and_sorted(page: Page) -> None:
    """The search knows the marks of the rows, and a click on the title orders by them."""
    show(page, "fit-installed")
    page.get_by_role("combobox").fill("NOT fits")
    expect(page.locator(".mw-row .mw-fit-full")).to_have_count(0)
    page.get_by_role("combobox").fill("fits")
    expect(page.locator(".mw-row")).to_have_count(2)
    page.get_by_role("combobox").fill("")

    page.get_by_role("button", name="Sort by Fits").click()

    first = page.locator(".mw-row").first
    expect(first.locator(".mw-fit")).to_have_text("full GPU")
    expect(page.locator(".mw-row").last.locator(".mw-fit")).to_have_text("does not fit")


async def test_the_card_says_what_python_says(
    open_notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """Verdict, memory and each part of three settings, of a model on a machine with one GPU."""
    name = model_server.name(CHAT)
    notebook = await open_notebook(
        ON_A_4090,
        SHOW,
        f"from modelwidgets import pull\nawait pull({name!r})",
        REPORTS.format(name=name),
        ollama_host=model_server.url,
    )
    for cell in range(4):
        await notebook.run(cell)
    reports = [json.loads(line) for line in (await notebook.text(3)).splitlines()]
    view = await manager(notebook, 1)
    await view.get_by_role("row", name=re.compile(CHAT)).first.click()
    card = view.get_by_role("region", name=re.compile("Will it fit"))
    slider = card.get_by_role("slider", name="Context")
    await expect_soon(slider).to_be_visible(timeout=30_000)

    status = card.get_by_role("status")

    for number, (verdict, context, total, terms) in enumerate(reports):
        if number == 1:
            await slider.focus()
            await notebook.page.keyboard.press("Home")
        if number == 2:
            await card.get_by_label("KV cache as").select_option("q8_0")
        assert verdict == "full"
        await expect_soon(card.locator("output")).to_have_text(f"{context:,} tokens")
        await expect_soon(status).to_contain_text(f"full GPU {memory(total)} in all")
        for part, title in PARTS.items():
            on_gpu = sum(size for one, gpu, size in terms if one == part and gpu == 0)
            if on_gpu:
                row = card.get_by_role("row", name=re.compile(f"^{title}"))
                await expect_soon(row.get_by_role("cell").first).to_have_text(memory(on_gpu))
    assert len({total for _, _, total, _ in reports}) == 3
    assert notebook.errors == []


def memory(size_bytes: int) -> str:
    """As the page writes it."""
    if size_bytes >= 2**30 / 10:
        return f"{size_bytes / 2**30:.1f} GiB"
    mib = size_bytes / 2**20
    return f"{mib:.1f} MiB" if mib < 10 else f"{mib:.0f} MiB"
