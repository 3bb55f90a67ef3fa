"""A marimo server of our own with one notebook, as tests drive it."""

from __future__ import annotations

import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.async_api import BrowserContext, Locator, Page

from tests.isolation import environment

START_SECONDS = 60
SETTINGS = """
[display]
theme = "system"
[runtime]
auto_instantiate = false
"""


class MarimoServer:
    """`marimo edit` on loopback; what it keeps lies inside `folder`."""

    def __init__(self, folder: Path, python: Path, *cells: str, **environ: str) -> None:
        self._notebook = folder / "notebook.py"
        self._notebook.parent.mkdir(parents=True, exist_ok=True)
        self._notebook.write_text(_source(cells))
        self._log_path = folder / "marimo.log"
        self._env = environment(folder, **environ)
        self._python = python
        settings = Path(self._env["XDG_CONFIG_HOME"]) / "marimo"
        settings.mkdir(parents=True)
        (settings / "marimo.toml").write_text(SETTINGS)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        self.url = f"http://127.0.0.1:{_free_port()}"
        command = [str(self._python), "-m", "marimo", "edit", "--headless", "--no-token"]
        command += ["--skip-update-check", "--no-sandbox", "--port", self.url.rpartition(":")[2]]
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, str(self._notebook)],
                env=self._env,
                cwd=self._notebook.parent,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + START_SECONDS
        while not self._healthy():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"marimo did not start:\n{self._log_path.read_text()}")
            time.sleep(0.1)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

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
