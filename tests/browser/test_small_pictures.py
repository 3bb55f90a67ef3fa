"""The disk's bar and the user's own entries in a real browser, by keyboard."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.gallery import calls, show


def test_a_segment_of_the_disk_leads_to_its_model_by_keyboard(page: Page) -> None:
    """Also from another tab: the row opens, is in sight and has the focus."""
    show(page, "pictures")
    page.get_by_role("tab", name="Catalog").click()
    bar = page.get_by_role("group", name="What lies on the disk")
    bar.get_by_role("button").first.focus()

    for key in ("ArrowRight", "End", "ArrowLeft", "Home", "ArrowRight"):
        page.keyboard.press(key)
    expect(page.get_by_role("button", name="Show llama3.2:3b, 2.0 GB")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("tab", name="Installed")).to_have_attribute("aria-selected", "true")
    row = page.locator(".mw-row").filter(has_text="llama3.2:3b")
    expect(row).to_be_focused()
    expect(page.get_by_role("region", name="Details: llama3.2:3b")).to_be_visible()


def test_who_does_not_see_the_bar_has_a_table_of_it(page: Page) -> None:
    """Each part with its size, models and all else."""
    show(page, "pictures-table")

    table = page.get_by_role("table", name="What lies on the disk")
    expect(table.get_by_role("row", name="qwen3:32b 20.2 GB")).to_be_visible()
    expect(table.get_by_role("row", name="shared by several models 7.9 GB")).to_be_visible()
    expect(table.get_by_role("row")).to_have_count(10)


def test_a_model_far_down_and_filtered_away_is_found_too(page: Page) -> None:
    """The filter is cleared and the table scrolls there."""
    show(page, "installed-many")
    page.get_by_label("Search installed models").fill("nothing like it")
    model = {"name": "model-4321:latest", "own_bytes": 9e9}
    page.evaluate(
        "model => gallery.host.set('disk', {...gallery.host.get('disk'), models: [model]})", model
    )

    page.get_by_role("button", name="Show model-4321:latest").click()

    row = page.locator(".mw-row").filter(has_text="model-4321:latest")
    expect(row).to_be_in_viewport()
    expect(row).to_be_focused()


def test_an_own_entry_is_typed_sent_once_and_the_form_forgets_it_when_closed(page: Page) -> None:
    """Add is off while there is no name and while it is sent."""
    show(page, "own-sending")
    form = page.get_by_role("form", name="Add to my catalog")
    add = form.get_by_role("button", name="Adding…")
    expect(add).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Enter")
    sent = calls(page, "add_entry")
    form.get_by_role("button", name="Close").click()
    opener = page.get_by_role("button", name="Add to my catalog")
    expect(opener).to_be_focused()
    opener.click()

    assert [call["name"] for call in sent] == ["user/helper"]
    name = form.get_by_role("textbox", name="Model name")
    expect(name).to_have_value("")
    expect(name).to_be_focused()
    expect(form.get_by_role("button", name="Add")).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Enter")
    assert calls(page, "add_entry") == sent


def test_a_known_model_is_shown_instead_of_added(page: Page) -> None:
    """The pointer is a button."""
    show(page, "own-known")

    page.get_by_role("button", name="Show llama3.1:8b").click()

    expect(page.get_by_role("row").filter(has_text="Multilingual instruct")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="My own notes")).to_have_count(0)


def test_the_form_opens_with_the_category_that_is_shown(page: Page) -> None:
    """Who looks at vision models adds one of these."""
    show(page, "own-form")

    expect(page.get_by_role("combobox", name="Category")).to_have_value("vision")


def test_a_stalled_pull_lies_on_the_ground_and_the_line_goes_on(page: Page) -> None:
    """A second later there is more of it."""
    show(page, "pictures-speed")
    line = page.locator("[data-pull='pull-deepseek-r1:8b'] .mw-spark-line").last
    expect(line).to_be_attached()

    page.wait_for_function(
        "gallery.host.memory.get('speeds').get('pull-deepseek-r1:8b').slice(-3)"
        ".every(({value}) => value === 0)",
        timeout=8000,
    )
