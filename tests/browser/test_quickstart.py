"""The main job in JupyterLab: look, pull, stop, resume, delete, with a real kernel and server."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from pathlib import Path

from playwright.async_api import Locator, expect

from modelwidgets.stores.ollama_files import StoreFiles
from tests.browser.conftest import OpenNotebook
from tests.browser.lab import Notebook
from tests.model_server import ModelServer

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"
SHOW = "from modelwidgets import ModelManager\nModelManager().show()"
SLOW_BYTES_PER_SECOND = 6_000_000
CHAT, EMBED = "chat:tiny", "embed:tiny"


async def manager(notebook: Notebook, index: int = 0) -> Locator:
    """The manager below a cell, once it shows a server that runs."""
    return await manager_in(notebook.output(index))


async def manager_in(place: Locator) -> Locator:
    """The same in any part of a page."""
    shown = place.get_by_role("region", name="Models")
    await expect(shown.get_by_text("Embedded store").first).to_be_visible(timeout=15_000)
    return shown


async def manager_with_a_model(
    open_notebook: OpenNotebook, model_server: ModelServer
) -> tuple[Notebook, Locator, Locator]:
    """A notebook that pulled a model, the manager below its second cell, and the model's row."""
    notebook = await open_notebook(
        f"from modelwidgets import pull\ndone = pull({model_server.name(EMBED)!r}).result()",
        SHOW,
        ollama_host=model_server.url,
    )
    await notebook.run_all()
    page = await manager(notebook, 1)
    row = page.get_by_role("row", name=re.compile(EMBED))
    await expect(row).to_be_visible()
    return notebook, page, row


def served_bytes(model_server: ModelServer) -> int:
    """What the registry has sent of blobs."""
    return sum(request.bytes_sent for request in list(model_server.registry.log) if request.digest)


async def shown_bytes(bar: Locator) -> tuple[int, int]:
    """What a bar shows: bytes that are there, and in all."""
    now = await bar.get_attribute("aria-valuenow")
    most = await bar.get_attribute("aria-valuemax")
    return int(now or -1), int(most or -1)


async def test_the_quickstart_runs_from_top_to_bottom(
    open_notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """Every cell of the quickstart works, and it leaves the store as it was."""
    cells = [
        "".join(cell["source"])
        for cell in json.loads(QUICKSTART.read_text("utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    notebook = await open_notebook(*cells, ollama_host=model_server.url)

    await notebook.run_all()
    await manager(notebook)

    await notebook.screenshot("quickstart")
    printed = "".join([await notebook.text(index) for index in range(len(cells))])
    assert "embedded 0.33.0: running" in printed
    assert re.search(r"embed:tiny: done, ([\d,]+) of \1 bytes", printed)
    assert "embed:tiny deleted" in printed
    assert notebook.errors == []
    assert list(StoreFiles(Path(model_server.store.folder)).manifests()) == []


async def test_pull_stop_resume_and_delete_by_hand(
    open_notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """The bar shows the bytes that the registry served, and never goes back."""
    model_server.registry.faults.throttle_bytes_per_second = SLOW_BYTES_PER_SECOND
    store = StoreFiles(Path(model_server.store.folder))
    notebook = await open_notebook(SHOW, ollama_host=model_server.url)
    await notebook.run_all()
    page = await manager(notebook)
    await expect(page.get_by_text("No models are installed yet.")).to_be_visible()
    await notebook.screenshot("empty", page)

    await page.get_by_role("tab", name="Catalog").click()
    await page.get_by_placeholder("Search the catalog").fill("samples chat")
    await page.get_by_role("button", name=re.compile("Details: .*samples.chat")).click()
    await notebook.screenshot("catalog-family", page)
    await page.get_by_role("button", name=re.compile("^Pull: .*chat:tiny")).first.click()
    await expect(page.get_by_role("progressbar").first).to_be_visible()
    await notebook.screenshot("catalog-pulling", page)
    await page.get_by_role("tab", name="Pulls").click()
    pulls = page.get_by_role("tabpanel", name="Pulls")
    bar = pulls.get_by_role("progressbar", name=re.compile("Pull of .*chat:tiny"))
    await expect(bar).to_be_visible()
    seen = [await bar_after(bar, 3_000_000)]
    await notebook.screenshot("pulling", page)
    await pulls.get_by_role("button", name=re.compile("^Stop: .*chat")).click()
    await expect(pulls.get_by_text(re.compile("Stopped at"))).to_be_visible()
    stopped_at, total = await shown_bytes(bar)
    await asyncio.sleep(0.5)

    assert await shown_bytes(bar) == (stopped_at, total)
    assert model_server.sending() == set()
    await notebook.screenshot("stopped", page)
    await pulls.get_by_role("button", name=re.compile("^Resume: .*chat")).click()
    while "Done" not in (await bar.get_attribute("aria-valuetext") or ""):
        seen.append((await shown_bytes(bar))[0])
        await asyncio.sleep(0.05)
    seen.append((await shown_bytes(bar))[0])
    await notebook.screenshot("pulled", page)

    assert seen == sorted(seen)
    assert seen[0] <= stopped_at <= seen[-1] == total
    # a stop may lose what was on its way, and nothing more
    assert total <= served_bytes(model_server) <= total + 1_000_000
    manifest = store.manifest(model_server.name(CHAT))
    assert manifest is not None
    for layer in manifest.layers:
        blob = store.blob_path(layer.digest).read_bytes()
        assert f"sha256:{hashlib.sha256(blob).hexdigest()}" == layer.digest

    await page.get_by_role("tab", name="Installed").click()
    await page.get_by_role("button", name=re.compile("^Details: .*chat:tiny")).click()
    await expect(page.get_by_text("Template").first).to_be_visible()
    await notebook.screenshot("details", page)
    await page.get_by_role("button", name=re.compile("^Delete: .*chat:tiny")).first.click()
    await expect(page.get_by_text(re.compile("Deleting .* frees"))).to_be_visible()
    await notebook.screenshot("deletion", page)
    await page.get_by_role("button", name=re.compile("^Delete .*chat:tiny")).click()
    await expect(page.get_by_text("No models are installed yet.")).to_be_visible()

    assert list((Path(model_server.store.folder) / "blobs").iterdir()) == []
    assert notebook.errors == []


async def bar_after(bar: Locator, completed_bytes: int) -> int:
    """What the bar shows once it is that far."""
    async with asyncio.timeout(30):
        while (shown := (await shown_bytes(bar))[0]) < completed_bytes:  # noqa: ASYNC110 - a page
            await asyncio.sleep(0.05)
    return shown


async def test_a_busy_cell_stops_neither_the_bar_nor_the_stop(
    open_notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """The work runs on a loop of its own, and a click reaches it through a subshell."""
    model_server.registry.faults.throttle_bytes_per_second = SLOW_BYTES_PER_SECOND / 4
    pull = f"from modelwidgets import pull\npull({model_server.name(CHAT)!r})"
    notebook = await open_notebook(pull, "import time; time.sleep(6)", ollama_host=model_server.url)
    await notebook.run(0)
    output = notebook.output(0)
    bar = output.get_by_role("progressbar")
    await expect(bar).to_be_visible()

    await notebook.start(1)
    await asyncio.sleep(0.5)
    values = set()
    for _ in range(20):
        values.add(await shown_bytes(bar))
        await asyncio.sleep(0.1)
    await output.get_by_role("button", name=re.compile("^Stop")).click()
    await expect(output.get_by_text(re.compile("Stopped at"))).to_be_visible(timeout=3000)
    busy = await notebook.page.locator(".jp-InputPrompt").nth(1).inner_text()

    assert len(values) >= 12
    assert busy == "[*]:"
    await notebook.wait_idle()


async def test_a_reloaded_page_shows_the_same_rows_and_bar(
    open_notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """Without running the cell again, because the kernel keeps what the page shows."""
    model_server.registry.faults.throttle_bytes_per_second = SLOW_BYTES_PER_SECOND / 8
    notebook = await open_notebook(
        SHOW,
        f"from modelwidgets import pull\nrunning = pull({model_server.name(CHAT)!r})",
        ollama_host=model_server.url,
    )
    await notebook.run_all()
    page = await manager(notebook)
    await page.get_by_role("tab", name="Pulls").click()
    before = await bar_after(page.get_by_role("progressbar").last, 300_000)

    await notebook.reload()
    page = await manager(notebook)
    await page.get_by_role("tab", name="Pulls").click()
    bar = page.get_by_role("progressbar").last
    after = await bar_after(bar, before)

    assert after >= before
    await page.get_by_role("button", name=re.compile("^Stop")).last.click()
    await expect(page.get_by_text(re.compile("Stopped at")).last).to_be_visible()


async def test_a_server_that_goes_away_leaves_the_rows_and_says_so(
    open_notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """Light and dark: the table stays, marked, with next steps."""
    notebook, page, row = await manager_with_a_model(open_notebook, model_server)
    await page.get_by_role("tab", name="Pulls").click()
    completed, total = await shown_bytes(page.get_by_role("progressbar").last)
    assert completed == total == served_bytes(model_server)
    await notebook.screenshot("pulls", page)
    await page.get_by_role("tab", name="Installed").click()
    await notebook.screenshot("installed", page)
    await notebook.theme("JupyterLab Dark")
    await notebook.screenshot("installed-dark", page)

    await asyncio.to_thread(model_server.run, model_server.store.stop())
    await page.get_by_role("button", name="Refresh", exact=True).click()
    await expect(page.get_by_text("Stopped").first).to_be_visible()

    await expect(row).to_be_visible()
    for label in ("Start it", "Use the embedded store", "Connect elsewhere"):
        await expect(page.get_by_role("button", name=label)).to_be_visible()
    await notebook.screenshot("stopped-server-dark", page)
    await notebook.theme("JupyterLab Light")
    await notebook.screenshot("stopped-server", page)


async def test_a_restarted_kernel_leaves_the_rows_and_says_what_to_do(
    open_notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """The page shows the last that was known, marked, until the cell runs again."""
    notebook, page, row = await manager_with_a_model(open_notebook, model_server)

    await notebook.restart()
    lost = page.get_by_text("The kernel was restarted or stopped: run the cell again.").first
    await expect(lost).to_be_visible(timeout=15_000)
    await expect(row).to_be_visible()
    await expect(row.get_by_text("not live").first).to_be_visible()
    await notebook.quietly(f"import os; os.environ['OLLAMA_HOST'] = {model_server.url!r}")
    await notebook.run(1)
    page = await manager(notebook, 1)

    await expect(page.get_by_role("row", name=re.compile(EMBED))).to_be_visible()
    await expect(page.get_by_text("run the cell again")).to_have_count(0)
