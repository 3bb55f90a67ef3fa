"""The views in a real browser, on the gallery's fake host: keyboard, focus, clicks, long tables."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.gallery import calls, focused, row, show

WATCH_CHANGES = """() => {
  window.touched = new Set();
  const note = ({ target }) => {
    const el = target.nodeType === Node.ELEMENT_NODE ? target : target.parentElement;
    if (el.closest(".mw-spark")) return; // goes on by itself, every second
    touched.add(el.closest("[data-pull]")?.dataset.pull ?? el.className);
  };
  new MutationObserver((changes) => changes.forEach(note)).observe(document.body, {
    subtree: true, attributes: true, childList: true, characterData: true,
  });
}"""
KEYS_THAT_ESCAPED = """() => {
  window.escaped = [];
  document.addEventListener("keydown", (event) => escaped.push(event.key));
}"""


def test_a_round_by_keyboard_stays_inside_the_view(page: Page) -> None:
    """Rows are walked, opened, closed and deleted by keys, of which the notebook sees none."""
    show(page, "installed")
    page.evaluate(KEYS_THAT_ESCAPED)
    page.get_by_role("tab", name="Installed").focus()

    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Catalog")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    page.keyboard.type("add b")
    page.get_by_role("combobox").fill("")
    row(page, 0).focus()
    page.keyboard.press("ArrowDown")
    assert focused(page).startswith("gemma3:12b")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Details: gemma3:12b")).to_be_visible()
    page.keyboard.press("Escape")
    assert focused(page).startswith("gemma3:12b")
    page.keyboard.press("End")
    assert focused(page).startswith("hf.co/bartowski")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert focused(page) == "Delete: gemma3:12b"
    page.keyboard.press("Enter")

    expect(page.get_by_role("group", name="Confirm deleting gemma3:12b")).to_be_focused()
    assert page.evaluate("escaped") == []


def test_the_categories_are_one_stop_of_the_tab_key(page: Page) -> None:
    """Arrows, Home and End walk them, Enter takes one, and Tab comes back to the one taken."""
    show(page, "catalog")
    page.get_by_role("toolbar", name="Categories").get_by_role("button", pressed=True).focus()
    assert focused(page) == "All"

    page.keyboard.press("End")
    assert focused(page) == "vision"
    page.keyboard.press("ArrowRight")
    assert focused(page) == "All"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert focused(page) == "tools"
    expect(page.get_by_role("button", name="All")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="tools")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Home")
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "Columns and rows: Catalog"
    page.keyboard.press("Tab")
    assert focused(page) == "tools"
    page.keyboard.press("Tab")
    assert focused(page) == "Select all shown"


def test_shortcuts_with_ctrl_still_reach_the_notebook(page: Page) -> None:
    """Saving with Ctrl+S works also while the focus is in the view."""
    show(page, "installed")
    page.evaluate(KEYS_THAT_ESCAPED)
    row(page, 0).focus()

    page.keyboard.press("Control+b")

    assert "b" in page.evaluate("escaped")


def test_the_row_in_the_place_of_a_deleted_one_gets_the_focus(page: Page) -> None:
    """After deleting, the focus is neither lost nor at the top."""
    show(page, "installed-delete")
    page.get_by_role("group", name="Confirm deleting gemma3:12b").focus()

    page.evaluate(
        "() => { const slice = gallery.host.get('installed'); gallery.host.set('installed', "
        "{...slice, models: slice.models.filter((model) => model.name !== 'gemma3:12b')}) }"
    )

    page.wait_for_function("document.activeElement.dataset.index === '1'")
    assert focused(page).startswith("llama3.2:3b")


def test_ten_clicks_are_one_call(page: Page) -> None:
    """However often somebody clicks, one call is under way."""
    show(page, "installed")

    for button in ("Refresh", "Pull again: qwen3:32b"):
        for _ in range(10):
            page.get_by_role("button", name=button).click(force=True)

    assert len(calls(page, "refresh")) == 1
    assert calls(page, "pull") == [{"name": "qwen3:32b"}]


def test_a_double_click_on_stop_does_not_hit_resume(page: Page) -> None:
    """The second click of a double click is not taken by the button that came instead."""
    show(page, "part-pulls")
    page.evaluate(
        "() => { const host = gallery.host; const call = host.call.bind(host); host.call = "
        "(method, params) => { if (method === 'stop') host.set('pulls', host.get('pulls').map("
        "(pull) => pull.id === params.id ? {...pull, state: 'cancelled'} : pull)); "
        "return call(method, params) } }"
    )

    page.get_by_role("button", name="Stop: qwen2.5-coder:14b").dblclick(delay=40)

    expect(page.get_by_role("button", name="Resume: qwen2.5-coder:14b")).to_be_visible()
    assert len(calls(page, "stop")) == 1
    assert calls(page, "retry") == []


def test_a_long_table_draws_only_a_window(page: Page) -> None:
    """Of 5,000 rows a few dozen exist, wherever one scrolls; the keyboard reaches the last."""
    show(page, "installed-many")
    rows = page.locator("[data-index]")
    first = rows.count()
    row(page, 0).focus()

    page.keyboard.press("End")
    expect(row(page, 4999)).to_be_focused()
    expect(row(page, 4999)).to_be_in_viewport()

    assert first < 80
    assert rows.count() < 80


def test_focus_survives_scrolling_away(page: Page) -> None:
    """A focused row stays where the keyboard left it, although it is out of sight."""
    show(page, "installed-many")
    row(page, 3).focus()
    name = focused(page)

    page.locator(".mw-scroll").evaluate("(box) => { box.scrollTop = 60000 }")
    page.wait_for_selector("[data-index^='17']")

    assert focused(page) == name


def test_what_one_does_survives_a_refresh(page: Page) -> None:
    """New data moves neither the scroll nor the search nor the open row."""
    show(page, "catalog-many")
    page.get_by_role("combobox").fill("good for vision")
    scroller = page.locator(".mw-scroll")
    scroller.evaluate("(box) => { box.scrollTop = 5000 }")
    page.get_by_role("button", name="Details: family-602").click()
    top = scroller.evaluate("(box) => box.scrollTop")

    page.evaluate(
        "() => { const slice = gallery.host.get('catalog'); gallery.host.set('catalog', "
        "{...slice, models: slice.models.map((model) => ({...model}))}) }"
    )

    expect(page.get_by_role("region", name="Details: family-602")).to_be_visible()
    assert page.get_by_role("combobox").input_value() == "good for vision"
    assert scroller.evaluate("(box) => box.scrollTop") == top


def test_a_tab_keeps_its_search_while_another_is_shown(page: Page) -> None:
    """Looking at another tab loses nothing."""
    show(page, "installed")
    page.get_by_role("combobox").fill("qwen")

    page.get_by_role("tab", name="Pulls").click()
    page.get_by_role("tab", name="Installed").click()

    assert page.get_by_role("combobox").input_value() == "qwen"


def test_one_changed_pull_redraws_one_row(page: Page) -> None:
    """Progress of one pull leaves the elements of all others untouched."""
    show(page, "pulls")
    page.evaluate(WATCH_CHANGES)

    page.evaluate(
        "() => gallery.host.set('pulls', gallery.host.get('pulls').map((pull) => "
        "pull.name === 'qwen2.5-coder:14b' ? {...pull, completed_bytes: 5.3e9} : pull))"
    )
    expect(page.get_by_text("5.3 of 9.0 GB")).to_be_visible()

    touched = set(page.evaluate("[...touched]"))
    assert "pull-qwen2.5-coder:14b" in touched
    assert not {one for one in touched if one.startswith("pull-")} - {"pull-qwen2.5-coder:14b"}


def test_the_other_side_is_told_whether_the_view_is_seen(page: Page) -> None:
    """The kernel hears when the view leaves the screen, comes back, and ends."""
    show(page, "installed")
    page.wait_for_function("gallery.host.calls.some((call) => call.method === 'visible')")

    page.evaluate("document.body.style.paddingTop = '9000px'")
    page.wait_for_function(
        "gallery.host.calls.filter((call) => call.method === 'visible').length === 2"
    )
    page.evaluate("document.body.style.paddingTop = '0'")
    page.wait_for_function(
        "gallery.host.calls.filter((call) => call.method === 'visible').length === 3"
    )
    page.evaluate("gallery.unmount()")

    seen = [call["visible"] for call in calls(page, "visible")]
    assert seen == [True, False, True, False]


def test_screen_readers_hear_of_news_once(page: Page) -> None:
    """A notice is read out when it comes, not when something else changes."""
    show(page, "installed")
    live = page.get_by_role("log")
    notice = {"id": "n", "kind": "success", "text": "a was deleted.", "actions": [], "at": ""}

    page.evaluate("notice => gallery.host.set('notices', [notice])", notice)

    expect(live).to_have_text("a was deleted.")
    expect(page.get_by_role("list", name="Notices")).to_contain_text("a was deleted.")


def test_hostile_texts_run_nothing(page: Page) -> None:
    """Names that are markup are shown as they are."""
    page.evaluate("() => { window.alert = () => { window.ran = true } }")

    show(page, "installed-hostile")

    expect(row(page, 1).get_by_text("<img src=x onerror=alert(1)>:latest")).to_be_visible()
    assert page.evaluate("window.ran") is None
