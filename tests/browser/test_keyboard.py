"""A whole round by keyboard alone in JupyterLab, whose shortcuts lie in wait."""

from __future__ import annotations

import re
from typing import Any

from playwright.async_api import Page, expect

from tests.browser.conftest import OpenNotebook
from tests.browser.lab import Notebook
from tests.browser.test_quickstart import SHOW, SLOW_BYTES_PER_SECOND, manager
from tests.model_server import ModelServer

MOST_TABS = 60
FOCUSED = """() => {
  const focused = document.activeElement;
  return `${focused.role || focused.getAttribute("role") || focused.tagName.toLowerCase()}: `
    + (focused.ariaLabel ?? focused.innerText).replaceAll("\\n", "").slice(0, 200);
}"""
CELLS = """() => {
  const panel = [...jupyterapp.shell.widgets("main")].find((one) => one.context);
  const models = panel.content.widgets.map(({ model }) => model);
  return [models.map(({ type, sharedModel }) => [type, sharedModel.source]), panel.content.mode];
}"""
SHORTCUTS = "abxcvdmyrlhjkoz"
"""Letters that add, cut, copy, paste, delete and change cells in command mode."""


async def test_a_round_by_keyboard_triggers_no_shortcut(
    open_notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """Search, details, pull, stop, resume and delete; cells, their types and the mode stay."""
    model_server.registry.faults.throttle_bytes_per_second = SLOW_BYTES_PER_SECOND
    notebook = await open_notebook(SHOW, "first = 1", ollama_host=model_server.url)
    await notebook.run(0)
    view = await manager(notebook)
    page = notebook.page
    await view.get_by_role("tab", selected=True).focus()  # from here on only keys
    before = await page.evaluate(CELLS)

    await page.keyboard.press("ArrowRight")
    await expect(view.get_by_role("tab", name="Catalog")).to_be_focused()
    await expect(view.get_by_role("combobox")).to_be_visible(timeout=30_000)
    await tab_to(page, "^combobox")
    await page.keyboard.type("samples chat")
    chat = view.get_by_role("row", name=re.compile("samples.{0,2}chat"))
    await expect(chat).to_be_visible(timeout=30_000)
    await tab_to(page, r"^row: .*samples.chat")
    await type_shortcuts(notebook)
    await page.keyboard.press("Enter")
    await tab_to(page, r"^button: Pull: .*chat:tiny")
    await page.keyboard.press("Enter")
    await tab_to(page, r"^button: Stop: .*chat:tiny")
    await page.keyboard.press("Enter")
    await expect(view.get_by_role("button", name=re.compile("^Stop: "))).to_have_count(0)
    assert await view.evaluate("(view) => view.contains(document.activeElement)")
    await tab_to(page, "^button: Resume")
    await type_shortcuts(notebook)
    await page.keyboard.press("Enter")
    done = view.get_by_text(re.compile("chat:tiny is installed"))
    await expect(done.first).to_be_visible(timeout=30_000)
    await tab_to(page, "^tab: (Installed|Catalog)", back=True)
    await page.keyboard.press("ArrowLeft")
    await tab_to(page, r"^row: .*chat:tiny")
    await type_shortcuts(notebook)
    await page.keyboard.press("Enter")
    await tab_to(page, r"^button: Delete: .*chat:tiny")
    await page.keyboard.press("Enter")
    question = view.get_by_role("group", name=re.compile("^Confirm deleting"))
    await expect(question).to_be_focused()
    await expect(question).to_contain_text("frees 25 MB")  # until then there is nothing to confirm
    await tab_to(page, r"^button: Delete .*chat:tiny")
    await page.keyboard.press("Enter")

    await expect(view.get_by_text("No models are installed yet.")).to_be_visible()
    assert await page.evaluate(CELLS) == before
    assert notebook.errors == []


async def tab_to(page: Page, wanted: str, *, back: bool = False) -> None:
    """Press Tab until the focus is there."""
    passed: list[Any] = []
    for _ in range(MOST_TABS):
        await page.keyboard.press("Shift+Tab" if back else "Tab")
        passed.append(await page.evaluate(FOCUSED))
        if re.search(wanted, passed[-1], re.DOTALL):
            return
    raise AssertionError(f"{wanted} is not reached; passed {passed}")


async def type_shortcuts(notebook: Notebook) -> None:
    """Type what would change cells, where a row or a button has the focus."""
    for letter in SHORTCUTS:
        await notebook.page.keyboard.press(letter)
        await notebook.page.keyboard.press(letter)
