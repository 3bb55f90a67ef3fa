"""Tables in a real browser: what stays in its place, what is marked, and how a table looks."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.browser.gallery import REFUSE_CLIPBOARD, calls, focused, row, show

ADD_ABOVE = """(count) => {
  const slice = gallery.host.get("installed");
  const added = Array.from({ length: count }, (_, at) => ({
    ...slice.models[0], name: `new-${at}:latest`, modified_at: "2030-01-01T00:00:00Z",
  }));
  const models = slice.models.map((model) => ({ ...model }));
  gallery.host.set("installed", { ...slice, models: [...added, ...models] });
}"""
DROP = """(name) => {
  const slice = gallery.host.get("installed");
  const models = slice.models.filter((model) => model.name !== name);
  gallery.host.set("installed", { ...slice, models });
}"""
FORBID_STORAGE = """Object.defineProperty(window, "localStorage", {
  get() { throw new DOMException("not in this frame", "SecurityError") },
})"""


def scroller(page: Page) -> Locator:
    return page.locator("[role=tabpanel]:not([hidden]) .mw-scroll")


def said(page: Page) -> Locator:
    """What the bar of the marked rows says to screen readers too."""
    return page.locator("[role=tabpanel]:not([hidden]) .mw-bulk-said[role=status]")


def search(page: Page) -> Locator:
    return page.locator("[role=tabpanel]:not([hidden])").get_by_role("combobox")


def top_of(locator: Locator) -> float:
    """Where it stands on the screen, in pixels."""
    box = locator.bounding_box()
    assert box is not None
    return box["y"]


def named(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))


def marked(page: Page) -> list[str]:
    """Names of the marked rows, in the order in which they are shown."""
    texts = page.locator("tr[aria-selected=true] .mw-cell-name .mw-name").all_inner_texts()
    return [text.strip() for text in texts]


def test_the_row_under_the_pointer_keeps_its_place(page: Page) -> None:
    """New rows above it move the rows that are not looked at, not this one."""
    show(page, "installed-many")
    scroller(page).evaluate("(box) => { box.scrollTop = 40007 }")
    hovered = row(page, 1150)
    hovered.hover()
    name = hovered.locator(".mw-name").inner_text()
    before = top_of(named(page, name))

    page.evaluate(ADD_ABOVE, 7)
    page.wait_for_selector("[data-index='1157']")
    page.evaluate(ADD_ABOVE, 200)
    page.wait_for_selector("[data-index='1357']")

    assert abs(top_of(named(page, name)) - before) < 1


def test_the_focused_row_keeps_its_place_and_its_focus(page: Page) -> None:
    """Without a pointer on the table it is the focus that somebody looks at."""
    show(page, "installed-many")
    row(page, 0).focus()
    for _ in range(3):
        page.keyboard.press("PageDown")
    name = page.locator(":focus .mw-name").inner_text()
    before = top_of(named(page, name))

    page.evaluate(ADD_ABOVE, 20)
    page.wait_for_selector("[data-index='50']")

    assert abs(top_of(named(page, name)) - before) < 1
    assert page.locator(":focus .mw-name").inner_text() == name


def test_when_the_row_in_sight_goes_the_next_one_stays(page: Page) -> None:
    """Deleting the row under the pointer moves only what is below it."""
    show(page, "installed-many")
    scroller(page).evaluate("(box) => { box.scrollTop = 20000 }")
    row(page, 575).hover()
    name = row(page, 575).locator(".mw-name").inner_text()
    above = row(page, 573).locator(".mw-name").inner_text()
    before = top_of(named(page, above))

    page.evaluate(DROP, name)
    expect(named(page, name)).to_have_count(0)

    assert abs(top_of(named(page, above)) - before) < 1


def test_another_question_is_shown_from_its_top(page: Page) -> None:
    """A sort or a filter does not leave one somewhere in the middle."""
    show(page, "installed-many")
    scroller(page).evaluate("(box) => { box.scrollTop = 40000 }")
    page.wait_for_selector("[data-index='1150']")

    title = page.get_by_role("button", name="Size")
    assert 0 < top_of(title) - top_of(scroller(page)) < 10  # it has not scrolled away
    title.focus()
    page.keyboard.press("Enter")

    expect(row(page, 0)).to_be_visible()
    assert scroller(page).evaluate("(box) => box.scrollTop") == 0


def test_the_scroll_survives_another_tab_and_a_move_of_the_cell(page: Page) -> None:
    """One comes back to where one was, with what was marked."""
    show(page, "installed-many")
    scroller(page).evaluate("(box) => { box.scrollTop = 33333 }")
    page.wait_for_selector("[data-index='960']")
    row(page, 960).get_by_role("checkbox").click()

    page.get_by_role("tab", name="Catalog").click()
    page.get_by_role("tab", name="Installed").click()
    assert scroller(page).evaluate("(box) => box.scrollTop") == 33333
    page.evaluate("gallery.remount()")

    expect(row(page, 960).get_by_role("checkbox")).to_be_checked()
    assert scroller(page).evaluate("(box) => box.scrollTop") == 33333


def test_rows_are_marked_by_keys_alone(page: Page) -> None:
    """Space marks one, Shift and the arrows a range that also shrinks, Ctrl+A all; Enter opens."""
    show(page, "installed")
    row(page, 1).focus()

    page.keyboard.press("Space")
    assert marked(page) == ["gemma3:12b"]
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+ArrowDown")
    assert marked(page) == ["gemma3:12b", "llama3.2:3b", "qwen3:32b"]
    page.keyboard.press("Shift+ArrowUp")
    assert marked(page) == ["gemma3:12b", "llama3.2:3b"]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+Space")
    assert marked(page) == ["my-assistant:v2", "gemma3:12b"]
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Details: my-assistant:v2")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+a")
    assert len(marked(page)) == 7
    page.keyboard.press("Escape")

    assert marked(page) == []
    assert focused(page).startswith("my-assistant:v2")


def test_a_range_is_marked_by_clicks_and_opens_nothing(page: Page) -> None:
    """Shift and Ctrl belong to marking; a plain click still opens."""
    show(page, "installed")
    row(page, 1).get_by_role("checkbox").click()

    row(page, 3).get_by_role("checkbox").click(modifiers=["Shift"])
    row(page, 5).click(modifiers=["Control"])

    assert marked(page) == ["gemma3:12b", "llama3.2:3b", "qwen3:32b", "nomic-embed-text:latest"]
    assert page.evaluate("getSelection().isCollapsed")
    expect(page.locator(".mw-panel")).to_have_count(0)
    row(page, 5).click()
    expect(page.locator(".mw-panel")).to_have_count(1)


def test_what_is_marked_survives_refresh_sort_and_filter(page: Page) -> None:
    """And the bar says how many of them a filter hides."""
    show(page, "installed")
    for name in ("gemma3:12b", "qwen3:32b"):
        page.get_by_role("checkbox", name=f"Select {name}").click()

    page.evaluate(ADD_ABOVE, 3)
    page.get_by_role("button", name="Quantization").click()
    assert sorted(marked(page)) == ["gemma3:12b", "qwen3:32b"]
    search(page).fill("gemma3")

    bar = page.get_by_role("group", name="What to do with the selected models")
    expect(bar).to_contain_text("2 selected")
    expect(bar).to_contain_text("1 of them hidden by the filter")
    search(page).fill("")
    assert sorted(marked(page)) == ["gemma3:12b", "qwen3:32b"]


def test_many_are_deleted_after_one_question(page: Page) -> None:
    """By keys: the plan is read, one call goes out, and what failed is told and stays marked."""
    show(page, "table-delete-failed")
    show(page, "table-delete")
    confirmation = page.get_by_role("group", name="Confirm deleting 3 models")
    expect(confirmation).to_be_focused()
    expect(confirmation).to_contain_text("Deleting 3 models frees 22.5 GB in all.")
    expect(confirmation).to_contain_text("7.9 GB stays because my-assistant:v2 uses it.")
    expect(confirmation).to_contain_text("llama3.2:3b is in memory now and is unloaded first.")
    page.evaluate(
        "() => { gallery.host.answers.delete_many = () => ({ deleted: ['gemma3:12b', 'qwen3:32b'],"
        " failed: [{ name: 'llama3.2:3b', error: 'No answer.', error_kind: 'OllamaError' }] }) }"
    )

    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.get_by_role("alert")).to_contain_text("llama3.2:3b: No answer.")
    expect(said(page)).to_have_text("2 models deleted.")
    names = ["gemma3:12b", "llama3.2:3b", "qwen3:32b"]
    assert calls(page, "delete_many") == [{"names": names, "force": ["llama3.2:3b"]}]
    assert marked(page) == ["llama3.2:3b"]


def test_escape_leaves_the_question_and_deletes_nothing(page: Page) -> None:
    """The selection stays for the next try."""
    show(page, "table-delete")

    page.keyboard.press("Escape")

    expect(page.get_by_role("group", name="Confirm deleting 3 models")).to_have_count(0)
    assert calls(page, "delete_many") == []
    assert len(marked(page)) == 3


def test_marked_families_are_pulled_by_their_recommended_tags(page: Page) -> None:
    """Each is asked for on its own; the bar says how many are queued."""
    show(page, "catalog")
    page.evaluate("() => { gallery.host.answers.pull = ({ name }) => ({ name }) }")
    for name in ("gemma3", "qwen3"):
        page.get_by_role("checkbox", name=f"Select {name}", exact=True).click()

    page.get_by_role("button", name="Pull", exact=True).click()

    expect(said(page)).to_have_text("2 models queued: see Pulls.")
    assert calls(page, "pull") == [{"name": "gemma3:4b"}, {"name": "qwen3:8b"}]


def test_names_are_copied_also_where_the_clipboard_is_refused(page: Page) -> None:
    """The old way of copying stands in, says so to screen readers, and leaves no trace."""
    show(page, "table-marked")
    page.evaluate(REFUSE_CLIPBOARD)

    page.get_by_role("button", name="Copy names").click()

    expect(said(page)).to_have_text("3 names copied.")
    assert page.evaluate("copied").split() == ["gemma3:12b", "llama3.2:3b", "qwen3:32b"]
    assert focused(page) == "Copy names"
    expect(page.locator("textarea")).to_have_count(0)


def test_two_to_four_are_compared(page: Page) -> None:
    """With fewer or more the button says what it needs."""
    show(page, "installed")
    compare = page.get_by_role("button", name="Compare")
    page.get_by_role("checkbox", name="Select gemma3:12b").click()
    expect(compare).to_have_attribute("title", "Select 2 to 4 models to compare.")

    page.get_by_role("checkbox", name="Select qwen3:32b").click()
    compare.click()

    expect(page.get_by_role("region", name="Side by side: gemma3:12b, qwen3:32b")).to_be_visible()


def test_the_look_of_a_table_is_chosen_by_keys_and_remembered(page: Page) -> None:
    """Columns, density and order are there again in the next view of this browser."""
    show(page, "installed")
    page.get_by_role("button", name="Columns and rows: Installed").focus()
    page.keyboard.press("Enter")
    for name in ("Digest", "Quantization"):
        page.get_by_role("checkbox", name=name).focus()
        page.keyboard.press("Space")
    page.get_by_role("radio", name="Comfortable").focus()
    page.keyboard.press("ArrowDown")
    page.get_by_role("button", name="Size").click()
    page.get_by_role("checkbox", name="Digest").focus()
    page.keyboard.press("Escape")
    assert focused(page) == "Columns and rows: Installed"

    page.reload()
    page.goto(f"{page.url}?state=installed")

    titles = page.get_by_role("columnheader").all_inner_texts()
    assert [title.strip() for title in titles if title.strip()] == [
        "Name",
        "Parameters",
        "Size",
        "Fits",
        "Changed",
        "Digest",
        "Actions",
    ]
    expect(page.get_by_role("columnheader", name="Size")).to_have_attribute(
        "aria-sort", "descending"
    )
    assert row(page, 0).evaluate("(row) => row.offsetHeight") < 30


def test_a_browser_that_remembers_nothing_still_draws(page: Page) -> None:
    """In frames of some hosts even asking for the browser's memory throws."""
    page.evaluate(FORBID_STORAGE)
    page.evaluate("gallery.show('installed', 'light', { keep: true })")
    page.get_by_role("button", name="Columns and rows: Installed").click()

    page.get_by_role("checkbox", name="Digest").click()
    page.evaluate("gallery.remount()")

    expect(page.get_by_role("columnheader", name="Digest")).to_be_visible()
