"""The built page in a real browser: the part fetched later, and pages that do not get it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

import modelwidgets
from tests.bench.many_models import installed_message, other_messages, tags_answer

STATIC = Path(modelwidgets.__file__).parent / "static"
PART = (STATIC / "later.js").read_text("utf-8")
SERVED = {"/widget.js": "text/javascript", "/widget.css": "text/css"}
ADDRESS = "http://page.test"
ON_THE_PAGE = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/widget.css">
<script type="module">
  import first from "/widget.js";
  import again from "/widget.js?again";
  import other from "/widget.js?other";
  // As anywidget does it, each widget has a module of its own.
  const modules = [first, again, other];
  window.asked = [];
  window.models = [];
  window.show = (kernel, answers, module = 0) => {
    const listeners = new Map();
    const model = {
      widget_manager: kernel,
      get: (name) => ({ view: "installed", tab: "installed", only: "", selected: "" })[name],
      on: (event, listener) => listeners.set(event, [...(listeners.get(event) ?? []), listener]),
      off: () => {},
      send({ id, method }) {
        asked.push(method);
        if (!(method in answers)) return;
        if (method === "hello") for (const message of answers.slices) model.receive(message);
        queueMicrotask(() => model.receive({ op: "reply", id, ok: true, value: answers[method] }));
      },
      receive: (message) => listeners.get("msg:custom").forEach((listener) => listener(message)),
      lose: () => listeners.get("comm_live_update").forEach((listener) => listener()),
    };
    const el = document.createElement("div");
    document.body.append(el);
    models.push(model);
    modules[module]().render({ model, el });
  };
  window.kernels = [{}, {}];
  window.ready = true;
</script>
"""
ANSWERS = {
    "hello": {"version": "0.1.0", "viewer": "test"},
    "visible": None,
    "select": None,
    "slices": [installed_message(tags_answer(3)), *other_messages(1)],
}

Open = Callable[..., Page]


@pytest.fixture
def page_of(gallery_browser: Browser) -> Iterator[Open]:
    """A page that shows widgets of kernels with these answers."""
    opened: list[Page] = []

    def open_page(policy: str = "") -> Page:
        def answer(route: Route) -> None:
            path = route.request.url.removeprefix(ADDRESS).split("?")[0]
            headers = {"content-security-policy": policy} if policy else {}
            if path == "/":
                route.fulfill(body=ON_THE_PAGE, content_type="text/html", headers=headers)
            else:
                route.fulfill(
                    body=(STATIC / path[1:]).read_text("utf-8"), content_type=SERVED[path]
                )

        page = gallery_browser.new_page()
        opened.append(page)
        page.route(f"{ADDRESS}/**", answer)
        page.goto(f"{ADDRESS}/")
        page.wait_for_function("window.ready")
        return page

    yield open_page
    for page in opened:
        page.close()


def show(page: Page, kernel: int, module: int = 0, **answers: object) -> None:
    page.evaluate(
        "([kernel, answers, module]) => show(kernels[kernel], JSON.parse(answers), module)",
        [kernel, json.dumps(ANSWERS | answers), module],
    )


def asked(page: Page, method: str) -> int:
    count: int = page.evaluate("method => asked.filter((one) => one === method).length", method)
    return count


def open_first_row(page: Page, widget: int = 0) -> None:
    page.locator(".mw").nth(widget).locator(".mw-chevron").first.click()


def test_the_later_part_is_fetched_once_for_all_widgets_of_a_kernel(page_of: Open) -> None:
    """It comes in an idle moment; with it come its rules; another kernel's text is never taken."""
    page = page_of()
    show(page, 0, part=PART)
    page.wait_for_function("asked.includes('part')")
    show(page, 0, part=PART)
    show(page, 0, module=1, part=PART)

    for widget in range(3):
        open_first_row(page, widget)
    expect(page.get_by_role("region", name="Details: model-", exact=False)).to_have_count(3)

    assert asked(page, "part") == 1
    facts = page.locator(".mw-facts").first
    assert facts.evaluate("facts => getComputedStyle(facts).display") == "grid"
    show(page, 1, module=2, part=PART)
    page.wait_for_function("asked.filter((one) => one === 'part').length === 2")


def test_a_text_of_another_build_is_not_run(page_of: Open) -> None:
    """The page says what to do, and shows what the list tells of the model."""
    page = page_of()
    show(page, 0, part="window.ran = true; export default () => ({})")

    open_first_row(page)

    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("another build of modelwidgets")
    expect(alert).to_contain_text("run the cell again")
    expect(page.get_by_role("row", name="Parameters 8 B", exact=True)).to_be_visible()
    assert page.evaluate("window.ran") is None


def test_a_page_that_lets_nothing_be_loaded_says_so(page_of: Open) -> None:
    """Trying again asks again; selecting rows shows words too, nothing blank."""
    page = page_of("script-src 'self' 'unsafe-inline'")
    show(page, 0, part=PART)

    open_first_row(page)

    expect(page.get_by_role("alert")).to_contain_text("does not let the rest of the view be loaded")
    before = asked(page, "part")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_function(f"asked.filter((one) => one === 'part').length > {before}")
    page.get_by_role("checkbox", name="Select model-0:1b").check()
    expect(page.get_by_role("alert").filter(has_text="does not let")).to_have_count(2)


def test_a_kernel_that_goes_before_it_has_answered(page_of: Open) -> None:
    """The user is told to run the cell again; what the list tells stays readable."""
    page = page_of()
    show(page, 0)
    page.wait_for_function("asked.includes('part')")
    open_first_row(page)
    expect(page.get_by_text("Loading this part of the page")).to_be_visible()

    page.evaluate("models[0].lose()")

    expect(page.get_by_role("alert").first).to_contain_text("run the cell again")
    expect(page.get_by_role("row", name="Quantization F16", exact=True)).to_be_visible()
