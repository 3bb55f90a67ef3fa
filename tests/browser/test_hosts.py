"""The same widgets in other hosts: an older JupyterLab, Notebook 7 and marimo."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Locator, expect

from tests.browser.conftest import OpenNotebook, opening_notebooks
from tests.browser.lab import SCREENSHOTS, LabServer
from tests.browser.marimo import MarimoNotebook, MarimoServer
from tests.browser.test_quickstart import CHAT, SHOW, SLOW_BYTES_PER_SECOND, manager, manager_in
from tests.kernels.environments import make
from tests.model_server import ModelServer

pytestmark = pytest.mark.timeout(240)  # the first run installs the hosts
HOSTS = {
    "jupyterlab-4.2": ("jupyterlab", ["jupyterlab==4.2.*"]),
    "notebook-7": ("notebook", ["notebook==7.6.*"]),
}
MARIMO = ("marimo==0.25.*", "pymdown-extensions<12")
"""It wants an older one of these than the pages of the site are built with."""
OF_THE_HOST = {"Cannot read properties of undefined (reading 'schema')"}
"""What Notebook 7.6 complains about also without us."""
LIVING = """from ipywidgets.widgets import widget
print("living:", sum(type(one).__name__ == "ModelManager" for one in widget._instances.values()))"""
BRIGHTNESS = """(view) => {
  const brightness = (colour) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d");
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return Math.max(...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3));
  };
  const style = getComputedStyle(view);
  return [brightness(style.backgroundColor), brightness(style.color)];
}"""
"""The brightness of a view's background and text, 0 to 255."""


def pulling(name: str) -> str:
    """A cell that pulls and goes on to compute."""
    return f"import time\nfrom modelwidgets import pull\npull({name!r})\ntime.sleep(3)"


async def values_while(busy: Callable[[], Awaitable[bool]], bar: Locator) -> set[int]:
    """The values of a bar that were seen while a cell ran."""
    await expect(bar).to_be_visible()
    seen: set[int] = set()
    while await busy():
        seen.add(int(await bar.get_attribute("aria-valuenow") or -1))
        await asyncio.sleep(0.05)
    return seen


async def the_end(view: Locator) -> None:
    """The bar is full, and the model is listed."""
    bar = view.get_by_role("progressbar").last
    await expect(bar).to_have_attribute("aria-valuetext", re.compile("Done"), timeout=15_000)
    assert await bar.get_attribute("aria-valuenow") == await bar.get_attribute("aria-valuemax")
    await view.get_by_role("tab", name="Installed").click()
    await expect(view.get_by_role("row", name=re.compile(CHAT))).to_be_visible()


def is_light(brightness: list[int]) -> bool:
    """Whether that is dark text on a light background; it is readable either way round."""
    background, text = brightness
    assert abs(background - text) > 150
    return background > text


@pytest.fixture(scope="session", params=HOSTS)
def other_lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LabServer]:
    app, requirements = HOSTS[request.param]
    server = LabServer(
        tmp_path_factory.mktemp(request.param), python=make(request.param, *requirements), app=app
    )
    server.start()
    yield server
    server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def open_elsewhere(
    other_lab: LabServer, context: BrowserContext, tmp_path: Path
) -> AsyncIterator[OpenNotebook]:
    async with opening_notebooks(other_lab, context, tmp_path) as open_:
        yield open_


async def test_a_jupyter_host_draws_pulls_and_follows_its_theme(
    open_elsewhere: OpenNotebook, other_lab: LabServer, model_server: ModelServer
) -> None:
    """The bar moves while a cell runs, and a reload of the page loses nothing."""
    model_server.registry.faults.throttle_bytes_per_second = SLOW_BYTES_PER_SECOND
    notebook = await open_elsewhere(
        SHOW, pulling(model_server.name(CHAT)), ollama_host=model_server.url
    )
    await notebook.run(0)
    view = await manager(notebook)
    light = await view.evaluate(BRIGHTNESS)
    await view.get_by_role("tab", name="Pulls").click()
    await notebook.start(1)

    prompt = notebook.cell(1).locator(".jp-InputPrompt")

    async def busy() -> bool:
        return (await prompt.inner_text()).strip() == "[*]:"

    seen = await values_while(busy, view.get_by_role("progressbar").last)
    await the_end(view)
    await notebook.theme("JupyterLab Dark")
    dark = await view.evaluate(BRIGHTNESS)
    await notebook.screenshot(f"host-{other_lab.app}-dark", view)
    await notebook.reload()
    view = await manager(notebook)

    await expect(view.get_by_role("row", name=re.compile(CHAT))).to_be_visible()
    assert len(seen) > 3
    assert (is_light(light), is_light(dark)) == (True, False)
    assert set(notebook.errors) - OF_THE_HOST == set()


@pytest_asyncio.fixture(loop_scope="session")
async def marimo(
    browser: Browser, tmp_path: Path, model_server: ModelServer
) -> AsyncIterator[MarimoNotebook]:
    """A notebook that shows the manager, pulls, shows a bar of its own, and counts managers."""
    name = model_server.name(CHAT)
    again = f"from modelwidgets import pull as again\nagain({name!r})"
    cells = (SHOW, pulling(name), again, LIVING)
    server = MarimoServer(tmp_path, make("marimo", *MARIMO), *cells, OLLAMA_HOST=model_server.url)
    await asyncio.to_thread(server.start)
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        yield await MarimoNotebook.open(server, context)
    finally:
        await context.close()
        await asyncio.to_thread(server.stop)


async def test_marimo_draws_pulls_and_follows_its_theme(
    marimo: MarimoNotebook, model_server: ModelServer
) -> None:
    """Styled in its shadow root; the bar moves while a cell runs; a reload loses nothing."""
    model_server.registry.faults.throttle_bytes_per_second = SLOW_BYTES_PER_SECOND
    await marimo.start(0)
    view = await manager_in(marimo.cell(0))
    light = await view.evaluate(BRIGHTNESS)
    await view.get_by_role("tab", name="Pulls").click()
    await marimo.start(1)

    async def busy() -> bool:
        return await marimo.running(1)

    seen = await values_while(busy, view.get_by_role("progressbar").last)
    await the_end(view)
    await marimo.dark()
    dark = await view.evaluate(BRIGHTNESS)
    await marimo.start(2)
    bar = marimo.cell(2).get_by_role("progressbar")
    await expect(bar).to_have_attribute("aria-valuetext", re.compile("Done"))
    await marimo.page.screenshot(path=SCREENSHOTS / "host-marimo-dark.png")
    await marimo.page.reload()
    view = await manager_in(marimo.cell(0))
    await expect(view.get_by_role("row", name=re.compile(CHAT))).to_be_visible()
    await marimo.start(0)
    await marimo.start(3)

    await expect(marimo.cell(3).get_by_text("living: 1", exact=True)).to_be_visible()
    await expect(view.get_by_role("row", name=re.compile(CHAT))).to_be_visible()
    assert await view.evaluate("(view) => view.getRootNode() instanceof ShadowRoot")
    assert len(seen) > 3
    assert (is_light(light), is_light(dark)) == (True, False)
    assert marimo.errors == []
