"""One JupyterLab and one browser for the whole run; a page and a kernel for each test.

All of it lives on one event loop for the run, because a browser cannot move from loop to loop.
"""

from __future__ import annotations

import inspect
import itertools
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright import sync_api
from playwright.async_api import Browser, BrowserContext, async_playwright

from tests.browser.gallery import QUIET, build_gallery, open_browser
from tests.browser.lab import LabServer, Notebook, write_notebook
from tests.isolation import inside, is_foreign

HERE = Path(__file__).parent
OpenNotebook = Callable[..., Awaitable[Notebook]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    whole_run = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        ours = HERE in item.path.parents and isinstance(item, pytest.Function)
        if ours and inspect.iscoroutinefunction(item.function):
            item.add_marker(whole_run, append=False)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    server = LabServer(tmp_path_factory.mktemp("lab"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def gallery_address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_gallery(tmp_path_factory.mktemp("gallery"))


@pytest.fixture(scope="module")
def gallery_browser() -> Iterator[sync_api.Browser]:
    """For a module at most: its loop must have gone before tests on the run's loop go on."""
    with open_browser() as opened:
        yield opened


@pytest.fixture
def page(gallery_browser: sync_api.Browser, gallery_address: str) -> Iterator[sync_api.Page]:
    """The gallery, in a browser that remembers nothing; what the page complains about fails."""
    page = gallery_browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    page.goto(gallery_address)
    yield page
    page.close()
    assert complaints == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(QUIET)
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """One profile for the run, so that JupyterLab's own files are loaded once."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def open_notebook(
    lab: LabServer, context: BrowserContext, tmp_path: Path
) -> AsyncIterator[OpenNotebook]:
    """Write a notebook of these cells, or copy that file, and open it in a page of its own.

    Its kernel keeps our files in the test's folder, and asks the server at `ollama_host`.
    """
    async with opening_notebooks(lab, context, tmp_path) as open_:
        yield open_


@asynccontextmanager
async def opening_notebooks(
    server: LabServer, context: BrowserContext, folder: Path
) -> AsyncIterator[OpenNotebook]:
    """Give what opens notebooks on a server; at the end they are closed."""
    opened: list[Notebook] = []

    async def open_(
        *cells: str, copy_of: Path | None = None, ollama_host: str | None = None
    ) -> Notebook:
        name = f"notebook-{next(_numbers)}.ipynb"
        if copy_of is None:
            write_notebook(server.root / name, cells)
        else:
            shutil.copy(copy_of, server.root / name)
        notebook = await Notebook.open(server, context, name)
        opened.append(notebook)
        kept = {name: value for name, value in inside(folder).items() if is_foreign(name)}
        environ = kept | ({"OLLAMA_HOST": ollama_host} if ollama_host else {})
        await notebook.quietly(f"import os\nos.environ.update({environ!r})")
        return notebook

    yield open_
    for notebook in opened:
        await notebook.close()


_numbers = itertools.count(1)
