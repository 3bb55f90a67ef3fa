"""A marimo server of our own with one notebook, as tests drive it."""

from __future__ import annotations

import re
import socket
import urllib.error
import urllib.request
from pathlib import Path

from playwright.async_api import BrowserContext, Locator, Page

from tests.browser.host import HostServer

SETTINGS = """
[display]
theme = "system"
[runtime]
auto_instantiate = false
"""


class MarimoServer(HostServer):
    """`marimo edit` on loopback; what it keeps lies inside `folder`."""

    def __init__(self, folder: Path, python: Path, *cells: str, **environ: str) -> None:
        super().__init__(folder, "marimo", **environ)
        self._notebook = folder / "notebook.py"
        self._notebook.write_text(_source(cells))
        self._python = python
        settings = Path(self._env["XDG_CONFIG_HOME"]) / "marimo"
        settings.mkdir(parents=True)
        (settings / "marimo.toml").write_text(SETTINGS)

    def start(self) -> None:
        self.url = f"http://127.0.0.1:{_free_port()}"
        command = [str(self._python), "-m", "marimo", "edit", "--headless", "--no-token"]
        command += ["--skip-update-check", "--no-sandbox", "--port", self.url.rpartition(":")[2]]
        self._run([*command, str(self._notebook)], self._healthy, cwd=self._notebook.parent)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


class MarimoNotebook:
    """The server's notebook, open in a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    @classmethod
    async def open(cls, server: MarimoServer, context: BrowserContext) -> MarimoNotebook:
        notebook = cls(await context.new_page())
        await notebook.page.goto(server.url)
        await notebook.cell(0).wait_for()
        return notebook

    def cell(self, index: int) -> Locator:
        return self.page.locator(".marimo-cell").nth(index)

    async def start(self, index: int) -> None:
        """Run one cell and do not wait for it."""
        await self.cell(index).locator(".cm-content").click()
        await self.page.keyboard.press("Control+Enter")

    async def running(self, index: int) -> bool:
        """Whether the cell runs now."""
        return await self.cell(index).locator("[data-status='running']").count() > 0

    async def dark(self) -> None:
        """What happens when the system turns dark."""
        await self.page.emulate_media(color_scheme="dark")
        await self.page.locator("body.dark").wait_for(state="attached")


def _source(cells: tuple[str, ...]) -> str:
    """A notebook file in which each cell gives its names to those that use them."""
    parts = ["import marimo\n\napp = marimo.App()\n"]
    for cell in cells:
        body = re.sub("^", "    ", cell, flags=re.MULTILINE)
        parts.append(f"\n\n@app.cell\ndef _():\n{body}\n    return\n")
    return "".join(parts)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
