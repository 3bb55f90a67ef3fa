"""The panel of JupyterLab's sidebar: the same views without a cell, and what stands around them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.lab import SCREENSHOTS, LabServer
from tests.browser.test_quickstart import SLOW_BYTES_PER_SECOND, manager_in, shown_bytes
from tests.model_server import ModelServer

START_MS = 60_000
DONE_MS = 30_000
HAS_COMMANDS = "() => window.jupyterapp?.commands.hasCommand('modelwidgets:open')"


@pytest_asyncio.fixture(loop_scope="session")
async def lab_page(
    browser: Browser, model_server: ModelServer, tmp_path: Path
) -> AsyncIterator[Page]:
    """JupyterLab with nothing open, whose server looks at `model_server`; complaints fail."""
    folder = tmp_path / "lab"
    folder.mkdir()
    server = LabServer(
        folder,
        OLLAMA_HOST=model_server.url,
        MODELWIDGETS_ALLOWED_REGISTRIES=model_server.registry.host_port,
    )
    server.start()
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(f"{server.url}lab?token={server.token}&reset")
    await expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=START_MS)
    yield page
    await context.close()
    server.stop()
    assert errors == []


async def panel_of(page: Page) -> Locator:
    """The manager in the sidebar, opened as a user would."""
    await page.get_by_role("tab", name="Models").click()
    return await manager_in(page.locator("#modelwidgets-panel"))


async def test_a_round_in_the_sidebar(lab_page: Page, model_server: ModelServer) -> None:
    """Find, pull, stop, resume and delete without a cell; the status bar tells it in short."""
    model_server.registry.faults.throttle_bytes_per_second = SLOW_BYTES_PER_SECOND
    panel, status = await panel_of(lab_page), lab_page.locator(".mw-status-item")
    await expect(status).to_have_text("0 models")
    await panel.get_by_role("tab", name=re.compile("^Catalog")).click()
    await panel.get_by_role("combobox").fill("samples chat")
    await panel.get_by_role("row", name=re.compile("samples.{0,2}chat")).click()
    await panel.get_by_role("button", name=re.compile("^Pull: .*chat:tiny")).click()
    await expect(status).to_have_text(re.compile(r"Models: pulling \d"))
    await panel.get_by_role("button", name=re.compile("^Stop: .*chat:tiny")).first.click()
    await expect(status).to_have_text("0 models")
    model_server.registry.faults.throttle_bytes_per_second = None
    await panel.get_by_role("button", name=re.compile("^Resume")).first.click()
    await expect(panel.get_by_text(re.compile("chat:tiny is installed")).first).to_be_visible(
        timeout=DONE_MS
    )
    await expect(status).to_have_text("1 model")
    await lab_page.screenshot(path=SCREENSHOTS / "panel.png")
    await lab_page.evaluate(Axe().axe_script)
    found = await lab_page.evaluate("axe.run('#modelwidgets-panel, .mw-status-item')")
    serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    assert [one["id"] for one in serious] == []

    await panel.get_by_role("tab", name=re.compile("^Installed")).click()
    await panel.get_by_role("row", name=re.compile("chat:tiny")).click()  # narrow: it has them
    await panel.get_by_role("button", name=re.compile("^Delete: .*chat:tiny")).first.click()
    question = panel.get_by_role("group", name=re.compile("^Confirm deleting"))
    await expect(question).to_contain_text("frees 25 MB")
    await question.get_by_role("button", name=re.compile("^Delete ")).click()
    await expect(panel.get_by_text("No models are installed yet.")).to_be_visible(timeout=DONE_MS)
    await expect(status).to_have_text("0 models")


async def test_a_reload_in_the_middle_of_a_pull(lab_page: Page, model_server: ModelServer) -> None:
    """The pull goes on in the server; the page that comes back shows it where it is."""
    model_server.registry.faults.throttle_bytes_per_second = SLOW_BYTES_PER_SECOND
    await panel_of(lab_page)
    name = model_server.name("chat:tiny")
    await lab_page.evaluate("() => void jupyterapp.commands.execute('modelwidgets:pull')")
    await lab_page.get_by_role("textbox", name=re.compile("^Name, such as")).fill(f" {name} ")
    await lab_page.keyboard.press("Enter")
    panel = await manager_in(lab_page.locator("#modelwidgets-panel"))
    await panel.get_by_role("tab", name=re.compile("^Pulls")).click()
    bar = panel.get_by_role("progressbar")
    await expect(bar).to_have_attribute("aria-valuenow", re.compile(r"[1-9]\d{5,}"))
    before, total = await shown_bytes(bar)

    await lab_page.reload()
    # JupyterLab saves its layout in its own time, so the panel may be closed by now
    await lab_page.wait_for_function(HAS_COMMANDS, timeout=START_MS)
    await lab_page.evaluate("() => jupyterapp.restored")
    await lab_page.evaluate("() => void jupyterapp.commands.execute('modelwidgets:open')")
    panel = await manager_in(lab_page.locator("#modelwidgets-panel"))
    await panel.get_by_role("tab", name=re.compile("^Pulls")).click()
    bar = panel.get_by_role("progressbar")
    await expect(bar).to_have_attribute("aria-valuenow", re.compile(r"[1-9]\d{5,}"))
    after, same = await shown_bytes(bar)
    model_server.registry.faults.throttle_bytes_per_second = None

    assert same == total
    assert after >= before > 0
    await expect(lab_page.locator(".mw-status-item")).to_have_text("1 model", timeout=DONE_MS)
